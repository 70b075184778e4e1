// Which webhooks wake the relay. Each wake-up costs a query.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import express from 'express'
import { pino } from 'pino'
import type { Limits } from '../../api/limits.ts'
import { webhookRoutes, type WebhookDependencies } from '../../api/routes/webhooks.ts'
import { connectDatabase, type Database } from '../../platform/database.ts'
import { createDatabase, newCallSid, type TestDatabase } from '../support/servers.ts'
import { serve, type Served } from '../support/serve.ts'

const logger = pino({ level: 'silent' })
const unlimited = (_request: unknown, _response: unknown, next: () => void) => next()
let created: TestDatabase
let database: Database
let server: Served
let wakeUps = 0
beforeAll(async () => {
  created = await createDatabase()
  database = connectDatabase({ url: created.applicationUrl, poolSize: 2, logger })
  const deps: WebhookDependencies = {
    database,
    lifecycle: { state: 'serving' },
    logger,
    auth: { addresses: [], signatureSecrets: [], token: 'tok', timestamp: 'log' },
    limits: { perAddress: () => unlimited } as unknown as Limits,
    databaseRetry: { attempts: 1, firstMs: 1, maxMs: 1 },
    onPending: () => (wakeUps += 1),
  }
  server = await serve(express().use(webhookRoutes(deps)))
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
