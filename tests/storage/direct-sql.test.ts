// SQL templates and transactions run with pg directly.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { connectDatabase, type Database } from '../../platform/database.ts'
import { createDatabase, newCallSid, type TestDatabase } from '../support/servers.ts'

let created: TestDatabase
/** Has one connection, so that each statement meets what the one before left behind. */
let single: Database
let other: Database
beforeAll(async () => {
  created = await createDatabase()
  const connect = () => connectDatabase({ url: created.url, poolSize: 1, logger: pino({ level: 'silent' }) })
  single = connect()
  other = connect()
})
afterAll(async () => {
  await Promise.all([single?.$disconnect(), other?.$disconnect()])
  await created?.drop()
})

const insert = (database: Pick<Database, '$executeRaw'>, callSid: string) =>
  database.$executeRaw`INSERT INTO calls (call_sid) VALUES (${callSid})`
const exists = async (callSid: string): Promise<boolean> =>
  (await single.$queryRaw<unknown[]>`SELECT FROM calls WHERE call_sid = ${callSid}`).length > 0

test('When values are numbers beyond 2^53, days, lists, bytes and JSON, then they arrive exactly', async () => {
  const [row] = await single.$queryRaw<unknown[]>`
    SELECT ${2n ** 60n}::bigint AS bigint, '2026-11-28'::date AS day, ${['a', 'b"{,}']}::text[] AS list, ${Buffer.from([0, 255])}::bytea AS bytes,
           ${JSON.stringify({ a: [1] })}::jsonb AS json, ${`'; DROP TABLE calls; --`} AS text, ${null}::text AS nothing`
  expect(row).toEqual({
    bigint: 2n ** 60n,
    day: new Date('2026-11-28T00:00:00Z'),
    list: ['a', 'b"{,}'],
    bytes: Buffer.from([0, 255]),
    json: { a: [1] },
    text: `'; DROP TABLE calls; --`,
    nothing: null,
  })
})

test('When a transaction throws, then nothing of it remains, and its connection can be used', async () => {
  const callSid = newCallSid()
  const failing = single.$transaction(async (transaction) => {
    await insert(transaction, callSid)
    throw new Error('no')
  })
  await expect(failing).rejects.toThrow('no')
  expect(await exists(callSid)).toBe(false)
})

test('When a statement of a transaction fails and the transaction ignores this, then it is not reported as committed', async () => {
  const callSid = newCallSid()
  const ignoring = single.$transaction(async (transaction) => {
    await insert(transaction, callSid)
    await transaction.$executeRaw`INSERT INTO calls (call_sid) VALUES ('no good')`.catch(() => {})
  })
  await expect(ignoring).rejects.toThrow(/rolled back/)
  expect(await exists(callSid)).toBe(false)
})

test('When a transaction takes too long, then it is rolled back, and its locks are released', async () => {
  const callSid = newCallSid()
  const slow = single.$transaction(
    async (transaction) => {
      await insert(transaction, callSid)
      await transaction.$queryRaw`SELECT pg_sleep(4)::text`
    },
    { timeout: 100 },
  )
  await expect(slow).rejects.toThrow()
  expect(await insert(other, callSid)).toBe(1) // would wait for a transaction that is still open
  expect(await exists(callSid)).toBe(true)
})
