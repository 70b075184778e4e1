import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { newCallSid, openDatabase, type OpenDatabase } from '../support/servers.ts'

let opened: OpenDatabase
beforeAll(async () => {
  opened = await openDatabase(1)
})
afterAll(() => opened?.close())

const read = (callSid: string) => opened.database.$queryRaw<{ recording_state: string }[]>`
  SELECT recording_state FROM calls WHERE call_sid = ${callSid}`

test('When a statement is executed twice on one connection, then PostgreSQL prepares it once', async () => {
  await read(newCallSid())
  await read(newCallSid())
  const prepared = await opened.database.$queryRaw<unknown[]>`
    SELECT FROM pg_prepared_statements WHERE statement LIKE '%SELECT recording_state FROM calls WHERE%' AND statement NOT LIKE '%pg_prepared%'`
  expect(prepared).toHaveLength(1)
})

test('When a migration adds a column to a table, then its prepared statements continue to work', async () => {
  const callSid = newCallSid()
  await opened.owner.call.create({ data: { callSid } })
  expect(await read(callSid)).toEqual([{ recording_state: 'none' }])
  await opened.owner.$executeRaw`ALTER TABLE calls ADD COLUMN added_later text DEFAULT 'x'`
  expect(await read(callSid)).toEqual([{ recording_state: 'none' }])
})
