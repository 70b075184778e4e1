// Heartbeats while PostgreSQL stops responding on an open connection.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { pino } from 'pino'
import { RetryLater } from '../../activities/failures.ts'
import { activityInterceptor } from '../../activities/interceptor.ts'
import { startTcpProxy, type TcpProxy } from '../../testing/chaos/tcp-proxy.ts'
import type { AlarmName } from '../../contracts/alarm-names.ts'
import { createAlarms } from '../../platform/alarm-registry.ts'
import { connectDatabase, type Database } from '../../platform/database.ts'
import type { CallRef } from '../../contracts/recording.ts'
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
  line?.restore()
  await database?.$disconnect()
  await line?.close()
  await created?.drop()
})

test('When PostgreSQL does not respond while a wait is recorded, then heartbeats continue, and the wait is not lost', async () => {
  await database.$queryRaw`SELECT 1`
  line.stall()
  const deps = { database, logger, alarms: createAlarms<AlarmName>(logger), pauses: PAUSES }
  const options = { logger: new DefaultLogger('ERROR'), interceptors: [activityInterceptor(deps)] }
  const environment = new MockActivityEnvironment({}, options)
  let heartbeats = 0
  environment.on('heartbeat', () => (heartbeats += 1))
  const activity = async (_call: CallRef): Promise<void> => {
    heartbeats = 0
    throw new RetryLater('StorageUnavailable', 'S3 does not answer')
  }
  await expect(environment.run(activity, { callSid: newCallSid() })).rejects.toMatchObject({
    type: 'StorageUnavailable',
    nextRetryDelay: expect.any(Number),
  })
  expect(heartbeats).toBeGreaterThan(0)
})
