import { setTimeout as pause } from 'node:timers/promises'
import type { AlarmName } from '../contracts/alarm-names.ts'
import { alarmsWithoutReasons, createAlarms } from '../platform/alarm-registry.ts'
import { requireBoundedBodies } from '../platform/bounded-bodies.ts'
import { readConfig } from '../platform/config.ts'
import { assertMigrated, connectDatabase, openBatchPool, openPool } from '../platform/database.ts'
import { monitorHeap } from '../platform/heap-monitor.ts'
import { createLogger } from '../platform/logger.ts'
import { collectProcessMetrics } from '../platform/metrics.ts'
import { readMigrations } from '../platform/migrations.ts'
import { requireSupportedNode } from '../platform/node-version.ts'
import { serveOperations } from '../platform/operations-server.ts'
import { registerProcess } from '../platform/process-registry.ts'
import { exitAfter, runMain, stopSignal } from '../platform/process.ts'
import { pausesOf, retryPolicy } from '../platform/retry-settings.ts'
import { waitUntil } from '../platform/wait-until.ts'
import { BATCHES_AT_ONCE, createEventRecorder } from '../calls/event-recorder.ts'
import { measurePipeline } from '../calls/pipeline-health.ts'
import { ExotelApi, exotelApiSettings } from '../exotel/api-client.ts'
import { BucketObjects } from '../recordings/bucket-objects.ts'
import { storeSettings } from '../recordings/s3-client.ts'
import { RecordingStreams } from '../recordings/recording-streams.ts'
import { createAccounts } from './accounts.ts'
import { createApp } from './app.ts'
import { createChangeFeed } from './change-feed.ts'
import { fillCallSearches } from './call-search-fill.ts'
import { connectionChecks } from './connection-checks.ts'
import { withDeadline } from '../platform/deadline.ts'
import { createLimits } from './limits.ts'
import { listen } from './listen.ts'
import { runPolicy } from '../relay/run-policy.ts'
import { RELAY_LIMITS, startRelay } from '../relay/relay.ts'
import { openTemporal } from '../temporal/client.ts'

/** Recordings that people listen to at the same time through this process. */
const STREAMS = 40
/** Connections for counting limits. Each count takes one short statement. */
const LIMITS_POOL_SIZE = 4
/** Time for a part of the shutdown after the grace period. Work that has not ended by then is aborted; it was not acknowledged. */
const RELAY_GRACE_MS = 1000
const MAIL_GRACE_MS = 1500
const CLOSE_GRACE_MS = 1000
/** The process exits this long after the grace period, even if another part of the shutdown hangs. */
const EXIT_GRACE_MS = RELAY_GRACE_MS + MAIL_GRACE_MS + 2 * CLOSE_GRACE_MS + 1000
/** The port opens when the database was checked, or after this time. So a start with a healthy PostgreSQL rejects no webhook. */
const FIRST_CHECK_MS = 1000

runMain(async () => {
  const config = readConfig()
  const migrations = readMigrations()
  const logger = createLogger({ level: config.LOG_LEVEL, file: config.LOG_FILE, name: 'api' })
  requireSupportedNode(config, (problem) => logger.warn(problem))
  await requireBoundedBodies()
  collectProcessMetrics()
  const heapMonitor = monitorHeap(logger)
  const database = connectDatabase({ url: config.DATABASE_URL, poolSize: config.DATABASE_POOL_SIZE, logger })
  const limitsPool = openPool({ url: config.DATABASE_URL, poolSize: LIMITS_POOL_SIZE, logger })
  const batchPool = openBatchPool({ url: config.DATABASE_URL, poolSize: BATCHES_AT_ONCE, logger })
  const limits = createLimits(limitsPool, config, logger)
  const accounts = createAccounts(config, { database, logger })
  const temporal = openTemporal(config)
  const bucketObjects = new BucketObjects({ ...storeSettings(config), connections: 1 })
  const streams = new RecordingStreams({ ...storeSettings(config), connections: STREAMS })
  const checks = connectionChecks({
    mailer: accounts.mailer,
    bucketObjects,
    exotelApi: new ExotelApi(exotelApiSettings(config)),
    temporal: temporal.client,
    namespace: config.TEMPORAL_NAMESPACE,
    database,
  })
  const lifecycle = { state: 'starting' as 'starting' | 'serving' | 'draining' }
  const alarms = createAlarms<AlarmName>(logger)
  const draining = new AbortController()
  const migrated = waitUntil(() => assertMigrated(database, migrations), {
    alarms,
    name: 'DatabaseUnavailable',
    hint: 'see docs/deployment.md',
    signal: draining.signal,
  })
  const ready = migrated.then(() => {
    if (lifecycle.state === 'starting') lifecycle.state = 'serving'
  })
  const relay = startRelay({
    database,
    temporal: temporal.client,
    policy: runPolicy(config),
    pauses: pausesOf(config, 'RELAY'),
    limits: RELAY_LIMITS,
    ready,
    logger,
  })
  const auth = {
    signatureSecrets: config.EXOTEL_WEBHOOK_SECRET,
    basic: config.EXOTEL_WEBHOOK_BASIC,
    token: config.EXOTEL_WEBHOOK_TOKEN,
    timestamp: config.EXOTEL_WEBHOOK_TIMESTAMP,
    addresses: config.EXOTEL_WEBHOOK_ADDRESSES,
  }
  const changeFeed = createChangeFeed(database, logger)
  const app = createApp({
    database,
    events: createEventRecorder({ batches: batchPool, single: database }, logger),
    logger,
    auth,
    relay,
    lifecycle,
    accounts,
    limits,
    checks,
    environment: config.NODE_ENV,
    devTestToken: config.DEV_TEST_TOKEN,
    databaseRetry: retryPolicy(config, 'DATABASE'),
    trustProxy: config.TRUST_PROXY,
    serveDocs: config.SERVE_DOCS,
    streams,
    changeFeed,
    temporal: temporal.client,
    temporalUi: config.TEMPORAL_UI_URL === undefined ? undefined : { url: config.TEMPORAL_UI_URL, namespace: config.TEMPORAL_NAMESPACE },
    retentionDays: config.EXOTEL_RETENTION_DAYS,
    onPending: () => relay.kick(),
  })
  const registration = registerProcess({
    database,
    kind: 'api',
    report: () => ({ state: lifecycle.state, alarms: alarms.active() }),
    ready,
    logger,
  })
  void fillCallSearches({ database, logger, ready }, draining.signal)
  await Promise.race([ready, pause(FIRST_CHECK_MS)])
  const server = await listen(app, { host: config.HOST, port: config.PORT })
  const operations = await serveOperations(
    { host: config.OPERATIONS_HOST, port: config.OPERATIONS_PORT },
    {
      readiness: () => ({ ready: lifecycle.state === 'serving', state: lifecycle.state }),
      health: async () => ({ alarms: alarmsWithoutReasons(alarms) }),
      // If PostgreSQL is unavailable, the last values stay. /health reports the outage.
      measure: () => withDeadline(measurePipeline(database), 2000).catch(() => {}),
    },
  )
  const proofs = [
    auth.signatureSecrets.length > 0 && `signature (${auth.signatureSecrets.length} secrets)`,
    auth.basic !== undefined && 'basic',
    auth.token !== undefined && 'query token',
  ].filter(Boolean)
  const ports = { port: server.port, operationsPort: operations.port }
  logger.info({ ...ports, proofs, addressRanges: auth.addresses.length }, 'API is listening')
  if (!accounts.mailer.available) logger.warn('SMTP_URL is not set: no mail is sent, and passwords cannot be reset by mail')
  if (proofs.length === 0)
    logger.warn(
      'No webhook authentication is configured, so every webhook is rejected: set EXOTEL_WEBHOOK_SECRET, EXOTEL_WEBHOOK_BASIC or EXOTEL_WEBHOOK_TOKEN',
    )

  const signal = await stopSignal()
  logger.info({ signal }, 'API is draining')
  const graceMs = config.SHUTDOWN_GRACE_SECONDS * 1000
  exitAfter(graceMs + EXIT_GRACE_MS, 1)
  lifecycle.state = 'draining'
  draining.abort()
  changeFeed.stop()
  await within(graceMs + RELAY_GRACE_MS, Promise.all([server.drain(graceMs), relay.stop()]))
  await within(MAIL_GRACE_MS, accounts.mails.stop()) // unsent mails stay in the outbox
  heapMonitor.stop()
  operations.close()
  bucketObjects.close()
  streams.close()
  await within(CLOSE_GRACE_MS, registration.stop())
  // Closing a pool waits for its statements, which may wait for a lock.
  await within(CLOSE_GRACE_MS, Promise.allSettled([database.$disconnect(), batchPool.end(), limitsPool.end(), temporal.close()]))
  logger.info('API has stopped')
  process.exit(0)
})

/** Waits for one step of the shutdown. A failure of the step is ignored, because the next one does not depend on it. */
async function within(ms: number, step: Promise<unknown>): Promise<void> {
  await withDeadline(step, ms).catch(() => {})
}
