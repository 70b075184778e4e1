// What the log says about webhooks that were not recorded, or whose time looks wrong.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { connectDatabase, type Database } from '../../platform/database.ts'
import type { Served } from '../support/serve.ts'
import { serveWebhooks } from '../support/serve-webhooks.ts'

let lines: { level: number; msg: string }[] = []
let server: Served
let database: Database
beforeAll(async () => {
  const logger = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  database = connectDatabase({ url: 'postgresql://postgres@127.0.0.1:1/x', poolSize: 1, logger }) // refuses connections
  server = await serveWebhooks({ database, logger, onPending: () => {} })
})
afterAll(async () => {
  server?.close()
  await database?.$disconnect()
})
beforeEach(() => {
  lines = []
})

async function send(method: 'GET' | 'POST', headers: Record<string, string> = {}, body = 'CallSid=a1&Status=busy'): Promise<number> {
  const url = `${server.url}/call-end?token=tok&CallSid=a1&CallStatus=busy`
  const post = { method, body }
  const options = { headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers } }
  return (await fetch(url, { ...options, ...(method === 'POST' && post) })).status
}
const messages = (level: number): string[] => lines.filter((line) => line.level === level).map(({ msg }) => msg)

test('When the event of a GET cannot be recorded, then it is acknowledged, and the log says that the event is missing', async () => {
  expect(await send('GET')).toBe(200)
  expect(messages(50)).toEqual([expect.stringMatching(/event was not recorded/)])
})

test('When the event of a POST cannot be recorded, then it is not acknowledged, and the log has the error', async () => {
  expect(await send('POST')).toBe(503)
  expect(messages(50)).toContain('Event cannot be recorded')
})

test('When a POST cannot be read and cannot be recorded either, then it is not acknowledged, so that it is sent again', async () => {
  expect(await send('POST', { 'content-type': 'application/json' }, '{')).toBe(503)
  expect(messages(50)).toContain('Event cannot be recorded')
})

test('When timestamps are not enforced and one differs from the current time, then the log says so', async () => {
  await send('GET', { 'x-exotel-timestamp': '1' })
  expect(messages(40)).toContainEqual(expect.stringMatching(/timestamp differs/))
  lines = []
  await send('GET', { 'x-exotel-timestamp': String(Math.floor(Date.now() / 1000)) })
  expect(messages(40)).not.toContainEqual(expect.stringMatching(/timestamp differs/))
})
