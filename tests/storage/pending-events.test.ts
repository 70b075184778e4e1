// Which webhooks wake the relay. Each wake-up costs a query.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { connectDatabase, type Database } from '../../platform/database.ts'
import { createDatabase, newCallSid, type TestDatabase } from '../support/servers.ts'
import type { Served } from '../support/serve.ts'
import { serveWebhooks } from '../support/serve-webhooks.ts'

const logger = pino({ level: 'silent' })
let created: TestDatabase
let database: Database
let server: Served
let wakeUps = 0
beforeAll(async () => {
  created = await createDatabase()
  database = connectDatabase({ url: created.applicationUrl, poolSize: 2, logger })
  server = await serveWebhooks({ database, logger, onPending: () => (wakeUps += 1) })
})
afterAll(async () => {
  server?.close()
  await database?.$disconnect()
  await created?.drop()
})

async function wakeUpsBy(route: string, fields: Record<string, string>): Promise<number> {
  const before = wakeUps
  const response = await fetch(`${server.url}/${route}?token=tok`, { method: 'POST', body: new URLSearchParams(fields) })
  expect(response.status).toBe(200)
  return wakeUps - before
}

test('When a webhook has the end of a call or a link, then it wakes the relay, also if it is repeated', async () => {
  const CallSid = newCallSid()
  expect(await wakeUpsBy('call-start', { CallSid, Status: 'in-progress' })).toBe(0)
  expect(await wakeUpsBy('call-end', { CallSid, Status: 'completed' })).toBe(1)
  expect(await wakeUpsBy('call-end', { CallSid, Status: 'completed' })).toBe(1) // the first process may have died before it woke its relay
  expect(await wakeUpsBy('recording', { CallSid, RecordingUrl: 'https://recordings.exotel.com/a.mp3' })).toBe(1)
})
