// What the log says about webhooks that were not recorded, or whose time looks wrong.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import express from 'express'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import type { Limits } from '../../api/limits.ts'
import { errorHandler } from '../../api/middleware/errors.ts'
import { webhookRoutes } from '../../api/routes/webhooks.ts'
import { connectDatabase } from '../../platform/database.ts'

let lines: { level: number; msg: string }[] = []
let server: Server
beforeAll(() => {
  const logger = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const unlimited = (_request: unknown, _response: unknown, next: () => void) => next()
  const routes = webhookRoutes({
    database: connectDatabase({ url: 'postgresql://postgres@127.0.0.1:1/x', poolSize: 1, logger }), // refuses connections
    lifecycle: { state: 'serving' },
    logger,
    auth: { addresses: [], signatureSecrets: [], token: 'tok', timestamp: 'log' },
    limits: { perAddress: () => unlimited } as unknown as Limits,
    databaseRetry: { attempts: 1, firstMs: 1, maxMs: 1 },
    onRecorded: () => {},
  })
  server = express().use(routes, errorHandler(logger)).listen(0, '127.0.0.1')
})
afterAll(() => void server?.close().closeAllConnections())
beforeEach(() => {
  lines = []
})

async function send(method: 'GET' | 'POST', headers: Record<string, string> = {}): Promise<number> {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/call-end?token=tok&CallSid=a1&CallStatus=busy`
  const body = method === 'POST' ? 'CallSid=a1&Status=busy' : null
  return (await fetch(url, { method, body, headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers } })).status
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

test('When timestamps are not enforced and one differs from the current time, then the log says so', async () => {
  await send('GET', { 'x-exotel-timestamp': '1' })
  expect(messages(40)).toContainEqual(expect.stringMatching(/timestamp differs/))
  lines = []
  await send('GET', { 'x-exotel-timestamp': String(Math.floor(Date.now() / 1000)) })
  expect(messages(40)).not.toContainEqual(expect.stringMatching(/timestamp differs/))
})
