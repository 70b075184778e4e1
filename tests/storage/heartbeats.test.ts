// Heartbeats on a real connection to PostgreSQL that goes silent.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { pino } from 'pino'
import { retryLater } from '../../activities/failures.ts'
import { runActivity } from '../../activities/run.ts'
import { startTcpProxy, type TcpProxy } from '../../testing/chaos/tcp-proxy.ts'
import { createAlarms } from '../../platform/alarms.ts'
import { connectDatabase, type Database } from '../../platform/database.ts'
import { createDatabase, newCallSid } from '../support/servers.ts'

const PAUSES = { firstMs: 2000, maxMs: 300_000 }
const logger = pino({ level: 'silent' })

let created: Awaited<ReturnType<typeof createDatabase>>
let line: TcpProxy
let database: Database
beforeAll(async () => {
  created = await createDatabase()
  const url = new URL(created.url)
  line = await startTcpProxy(url.hostname, Number(url.port))
  url.port = String(line.port)
  database = connectDatabase({ url: url.href, poolSize: 1, logger })
})
afterAll(async () => {
  line?.mend()
  await database?.$disconnect()
  await line?.close()
  await created?.drop()
})

test('When PostgreSQL is silent while a wait is recorded, then heartbeats go on, and the wait is not lost', async () => {
  await database.$queryRaw`SELECT 1`
  line.stall()
  const environment = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') })
  let heartbeats = 0
  environment.on('heartbeat', () => (heartbeats += 1))
  const deps = { database, logger, alarms: createAlarms(logger), pauses: PAUSES }
  const activity = () =>
    runActivity(deps, { callSid: newCallSid() }, () => {
      heartbeats = 0
      throw retryLater('StorageUnavailable', 'S3 does not answer', { attempt: 1, pauses: PAUSES })
    })
  await expect(environment.run(activity)).rejects.toMatchObject({ type: 'StorageUnavailable', nextRetryDelay: expect.any(Number) })
  expect(heartbeats).toBeGreaterThan(0)
})
