import { Client, Connection } from '@temporalio/client'
import { readConfig, type Config } from '../platform/config.ts'
import { connectDatabase, openPool } from '../platform/database.ts'
import { watchForLeaks } from '../platform/leaks.ts'
import { createLogger } from '../platform/logger.ts'
import { collectProcessMetrics } from '../platform/metrics.ts'
import { requireSupportedNode } from '../platform/node-version.ts'
import { serveOperations } from '../platform/operations-server.ts'
import { exitAfter, runMain, stopSignal } from '../platform/process.ts'
import { pausesOf, retryPolicy } from '../platform/retry-settings.ts'
import { temporalConnectionOptions } from '../platform/temporal.ts'
import { measurePipeline } from '../calls/pipeline-health.ts'
import { ExotelApi, exotelApiSettings } from '../exotel/api-client.ts'
import { ObjectInventory } from '../recordings/inventory.ts'
import { storeSettings } from '../recordings/s3-client.ts'
import { createAccounts } from './accounts.ts'
import { createApp } from './app.ts'
import { connectionChecks } from './connection-checks.ts'
import { withDeadline } from '../platform/deadline.ts'
import { createLimits } from './limits.ts'
import { listen } from './listen.ts'
import { recordingPolicy } from './recording-policy.ts'
import { startRelay } from './relay.ts'

/** Connections that count limits; each takes one short statement. */
const LIMITS_POOL_SIZE = 4
/** Once all requests are answered; within what `exitAfter` leaves. */
const MAIL_GRACE_MS = 1500

runMain(async () => {
  const config = readConfig()
  const logger = createLogger({ level: config.LOG_LEVEL, file: config.LOG_FILE, name: 'api' })
  requireSupportedNode(config, (problem) => logger.warn(problem))
  collectProcessMetrics()
  const leaks = watchForLeaks(logger)
  const database = connectDatabase({ url: config.DATABASE_URL, poolSize: config.DATABASE_POOL_SIZE, logger })
  const limitsPool = openPool({ url: config.DATABASE_URL, poolSize: LIMITS_POOL_SIZE, logger })
  const limits = createLimits(limitsPool, config, logger)
  const accounts = createAccounts(config, { database, limits, logger })
  const temporal = openTemporal(config)
  const inventory = new ObjectInventory({ ...storeSettings(config), connections: 1 })
  const checks = connectionChecks({
    post: accounts.post,
    inventory,
    exotelApi: new ExotelApi(exotelApiSettings(config)),
    temporal: temporal.client,
    namespace: config.TEMPORAL_NAMESPACE,
    database,
  })
  const relay = startRelay({
    database,
    temporal: temporal.client,
    policy: recordingPolicy(config),
    pauses: pausesOf(config, 'RELAY'),
    logger,
  })
  const lifecycle = { state: 'starting' as 'starting' | 'serving' | 'draining' }
  const guard = {
    signatureSecrets: config.EXOTEL_WEBHOOK_SECRET,
    basic: config.EXOTEL_WEBHOOK_BASIC,
    token: config.EXOTEL_WEBHOOK_TOKEN,
    timestamp: config.EXOTEL_WEBHOOK_TIMESTAMP,
    addresses: config.EXOTEL_WEBHOOK_ADDRESSES,
  }
  const app = createApp({
    database,
    logger,
    guard,
    relay,
    lifecycle,
    accounts,
    limits,
    checks,
    environment: config.NODE_ENV,
    devTestToken: config.DEV_TEST_TOKEN,
    databaseRetry: retryPolicy(config, 'DATABASE'),
    trustProxy: config.TRUST_PROXY,
    onRecorded: () => relay.kick(),
  })
  const server = await listen(app, config.PORT)
  const operations = await serveOperations(config.OPERATIONS_PORT, {
    health: async () => ({ ready: lifecycle.state === 'serving' }),
    // Where PostgreSQL is away, the last figures stand; /health tells that it is.
    measure: () => withDeadline(measurePipeline(database), 2000).catch(() => {}),
  })
  lifecycle.state = 'serving'
  const proofs = [
    guard.signatureSecrets.length > 0 && `signature (${guard.signatureSecrets.length} secrets)`,
    guard.basic !== undefined && 'basic',
    guard.token !== undefined && 'query token',
  ].filter(Boolean)
  const where = { port: server.port, operationsPort: operations.port }
  logger.info({ ...where, proofs, addressRanges: guard.addresses.length }, 'API is listening')
  if (!accounts.post.available) logger.warn('SMTP_URL is not set: no mail is sent, and nobody can reset a password')
  if (proofs.length === 0) logger.warn('No proof of origin is configured: every webhook is refused')

  const signal = await stopSignal()
  logger.info({ signal }, 'API is draining')
  exitAfter(config.SHUTDOWN_GRACE_SECONDS * 1000 + 2000, 1)
  lifecycle.state = 'draining'
  await Promise.all([server.drain(config.SHUTDOWN_GRACE_SECONDS * 1000), relay.stop()])
  await accounts.post.idle(MAIL_GRACE_MS)
  leaks.stop()
  operations.close()
  inventory.close()
  await Promise.allSettled([database.$disconnect(), limitsPool.end(), temporal.close()])
  logger.info('API has stopped')
  process.exit(0)
})

/** Connected when first needed, so that the API starts while Temporal is away. */
function openTemporal(config: Config): { client: () => Promise<Client>; close: () => Promise<void> } {
  let connection: Connection | undefined
  return {
    async client() {
      connection ??= await Connection.connect({ ...temporalConnectionOptions(config), connectTimeout: '5s' })
      return new Client({ connection, namespace: config.TEMPORAL_NAMESPACE })
    },
    close: async () => connection?.close(),
  }
}
