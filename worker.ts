// The worker process: creates the dependencies of the activities, runs one Temporal worker per task queue, drains on SIGTERM.
import { Client } from '@temporalio/client'
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { watchCleanUps } from './activities/clean-up-alarm.ts'
import { createActivities } from './activities/create.ts'
import { openDependencies, PEAKS_SLOTS, type Dependencies } from './activities/dependencies.ts'
import { isRunOpen } from './temporal/open-runs.ts'
import { WORKFLOW_TASK_SLOTS } from './activities/fast-places.ts'
import { activityInterceptor, HEARTBEAT_MS } from './activities/interceptor.ts'
import { watchConnection, type ConnectionWatch } from './temporal/connection-watch.ts'
import { ensureSchedules } from './temporal/schedules.ts'
import { missingSearchAttributes } from './temporal/namespace.ts'
import type { AlarmName } from './contracts/alarm-names.ts'
import { alarmsWithoutReasons, createAlarms } from './platform/alarm-registry.ts'
import { readConfig, type Config } from './platform/config.ts'
import { connectDatabase, assertMigrated } from './platform/database.ts'
import { withDeadline } from './platform/deadline.ts'
import { monitorHeap } from './platform/heap-monitor.ts'
import { createLogger, type Logger } from './platform/logger.ts'
import { collectProcessMetrics } from './platform/metrics.ts'
import { readMigrations } from './platform/migrations.ts'
import { requireSupportedNode } from './platform/node-version.ts'
import { serveOperations } from './platform/operations-server.ts'
import { createProbe } from './platform/probe.ts'
import { registerProcess } from './platform/process-registry.ts'
import { CannotStart, exitAfter, runMain, stopSignal } from './platform/process.ts'
import { redact } from './platform/redact.ts'
import { temporalConnectionOptions } from './temporal/connection-options.ts'
import { waitUntil } from './platform/wait-until.ts'
import { Spool, SpoolUnusable } from './recordings/spool.ts'
import { detectStoreConditions } from './recordings/detect-conditions.ts'
import { startGarbageCollection } from './recordings/garbage-collection.ts'
import { DOWNLOADS_QUEUE, EXOTEL_API_QUEUE, PEAKS_QUEUE, RECORDINGS_QUEUE, BACKFILL_QUEUE, spoolQueues } from './contracts/names.ts'

interface WorkerState {
  now: 'starting' | 'running' | 'draining'
  /** The bucket has accepted a write since the start. Work does not wait for this: recordings wait in the spool. */
  bucketReached: boolean
  temporal?: ConnectionWatch
}

/** Exotel's published limit is 200 requests a minute. */
const EXOTEL_REQUESTS_PER_SECOND = 3
const BACKFILL_REQUESTS_PER_SECOND = 0.3
const FORCE_AFTER_MS = 3000
/** Time to delete the row of this process. */
const REGISTRATION_GRACE_MS = 500
/** The SDK logs this warning for each worker that runs only activities. Most of ours do. */
const ACTIVITIES_ONLY = 'No workflows registered'

runMain(async () => {
  const config = readConfig()
  const migrations = readMigrations()
  const logger = createLogger({ level: config.LOG_LEVEL, file: config.LOG_FILE, name: 'worker' })
  requireSupportedNode(config, (problem) => logger.warn(problem))
  collectProcessMetrics()
  monitorHeap(logger)
  const stopping = new AbortController()
  const signalled = stopSignal().then((signal) => {
    logger.info({ signal }, 'Recording worker is draining')
    stopping.abort()
    exitAfter(config.SHUTDOWN_GRACE_SECONDS * 1000 + FORCE_AFTER_MS + 2000, 1)
  })
  const alarms = createAlarms<AlarmName>(logger)
  const state: WorkerState = { now: 'starting', bucketReached: false }
  const database = connectDatabase({ url: config.DATABASE_URL, poolSize: config.DATABASE_POOL_SIZE, logger })
  const spool = await Spool.open(
    config.SPOOL_DIRECTORY,
    config.WORKER_NAME,
    { maxBytes: config.SPOOL_MAX_BYTES, minFreeBytes: config.SPOOL_MIN_FREE_BYTES },
    (reason) => {
      logger.fatal(
        { reason: reason.message },
        'Recording spool directory lost: its lock could not be renewed. The worker exits so that no two workers use one spool',
      )
      process.exit(1)
    },
  ).catch((error: unknown) => {
    throw error instanceof SpoolUnusable ? new CannotStart(error.message) : error
  })
  const deps = openDependencies(config, { database, spool, alarms, logger })
  let temporal: Client | undefined
  const probeDatabase = createProbe('database', () => assertMigrated(database, migrations).then(() => true))
  const probeTemporal = createProbe('temporal', async () => temporal && (await temporal.workflowService.getSystemInfo({})))
  const operations = await serveOperations(
    { host: config.OPERATIONS_HOST, port: config.OPERATIONS_PORT },
    {
      readiness: () => ({
        ready: state.now === 'running' && state.bucketReached && !state.temporal?.isLost(),
        state: state.now,
        bucketReached: state.bucketReached,
      }),
      health: async () => ({
        alarms: alarmsWithoutReasons(alarms),
        store: deps.breaker.state(),
        database: (await probeDatabase()) ? 'ok' : 'unavailable',
        temporal: (await probeTemporal()) ? 'ok' : 'unavailable',
        spool: { bytes: await spool.usedBytes().catch(() => null) },
      }),
      measure: async () => void (await Promise.all([probeDatabase(), probeTemporal()])),
    },
  )
  // Signals are handled above. If its log is not forwarded, the SDK's core writes to stdout itself.
  Runtime.install({ shutdownSignals: [], logger: temporalLogger(logger), telemetryOptions: { logging: { forward: {} } } })
  await waitUntil(() => assertMigrated(database, migrations), {
    alarms,
    name: 'DatabaseUnavailable',
    hint: 'see docs/deployment.md',
    signal: stopping.signal,
  })
  const registration = registerProcess({
    database,
    kind: 'worker',
    name: config.WORKER_NAME,
    report: () => ({ state: state.now, breaker: deps.breaker.state(), alarms: alarms.active() }),
    ready: Promise.resolve(),
    logger,
  })
  const connection = await waitUntil(() => connectTemporal(config), {
    alarms,
    name: 'TemporalUnavailable',
    hint: 'run `npm run temporal:setup`',
    signal: stopping.signal,
  })
  if (connection) {
    const client = new Client({ connection, namespace: config.TEMPORAL_NAMESPACE })
    temporal = client
    state.temporal = watchConnection(client, stopping.signal)
    void waitUntil(() => deps.store.assertWritable(stopping.signal), {
      alarms,
      name: 'StorageUnavailable',
      hint: 'check the settings WASABI_*',
      signal: stopping.signal,
    }).then(() => (state.bucketReached = !stopping.signal.aborted))
    void startGarbageCollection({
      spool,
      store: deps.store,
      logger,
      isOpen: (callSid) => isRunOpen(client, callSid),
      waitScale: deps.waitScale,
      signal: stopping.signal,
    })
    void watchCleanUps(deps, stopping.signal)
    void detectStoreConditions(deps, stopping.signal)
    const workers = await createWorkers(config, connection, { ...deps, temporal: client })
    const runs = Promise.all(workers.map((worker) => worker.run()))
    state.now = 'running'
    void waitUntil(() => ensureSchedules(client, config), {
      alarms,
      name: 'SchedulesMissing',
      hint: 'check that the API key may create schedules',
      signal: stopping.signal,
    })
    logger.info({ queue: spool.queue, operationsPort: operations.port }, 'Recording worker is running')
    await Promise.race([signalled, runs])
    state.now = 'draining'
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown()
    await runs
    await connection.close()
  }
  await withDeadline(registration.stop(), REGISTRATION_GRACE_MS).catch(() => {}) // its row becomes stale
  await Promise.allSettled([database.$disconnect(), spool.close()])
  deps.source.agents.destroy()
  deps.store.close()
  deps.bucketObjects.close()
  operations.close()
  logger.info('Recording worker has stopped')
  process.exit(0)
})

/** Logs the SDK's warnings and errors in our format. */
function temporalLogger(logger: Logger): DefaultLogger {
  return new DefaultLogger('WARN', ({ level, message, meta }) => {
    if (message.startsWith(ACTIVITIES_ONLY)) return
    const { error, workflowId, activityType, taskQueue } = meta ?? {}
    logger[level === 'ERROR' ? 'error' : 'warn']({ sdk: true, workflowId, activityType, taskQueue, error }, redact(message))
  })
}

async function connectTemporal(config: Config): Promise<NativeConnection> {
  const connection = await NativeConnection.connect(temporalConnectionOptions(config))
  try {
    const missing = await missingSearchAttributes(connection, config.TEMPORAL_NAMESPACE)
    if (missing.length > 0) throw new Error(`The namespace ${config.TEMPORAL_NAMESPACE} lacks the search attributes ${missing.join(', ')}`)
    return connection
  } catch (error) {
    await connection.close()
    throw error
  }
}

function createWorkers(config: Config, connection: NativeConnection, deps: Dependencies): Promise<Worker[]> {
  const common = {
    connection,
    namespace: config.TEMPORAL_NAMESPACE,
    activities: createActivities(deps),
    interceptors: { activity: [activityInterceptor(deps)] },
    shutdownGraceTime: config.SHUTDOWN_GRACE_SECONDS * 1000,
    shutdownForceTime: config.SHUTDOWN_GRACE_SECONDS * 1000 + FORCE_AFTER_MS,
    maxHeartbeatThrottleInterval: HEARTBEAT_MS,
  }
  const spool = spoolQueues(deps.spool.queue)
  const bundle = fileURLToPath(new URL('./workflow-bundle.js', import.meta.url))
  const workflows = existsSync(bundle)
    ? { workflowBundle: { codePath: bundle } }
    : { workflowsPath: fileURLToPath(new URL('./workflows', import.meta.url)) }
  return Promise.all([
    Worker.create({
      ...common,
      ...workflows,
      taskQueue: RECORDINGS_QUEUE,
      maxConcurrentWorkflowTaskExecutions: WORKFLOW_TASK_SLOTS,
      maxConcurrentActivityTaskExecutions: config.DATABASE_POOL_SIZE,
    }),
    Worker.create({ ...common, taskQueue: DOWNLOADS_QUEUE, maxConcurrentActivityTaskExecutions: config.WORKER_DOWNLOADS }),
    Worker.create({ ...common, taskQueue: spool.transfers, maxConcurrentActivityTaskExecutions: config.WORKER_UPLOADS }),
    Worker.create({ ...common, taskQueue: spool.downloads, maxConcurrentActivityTaskExecutions: config.WORKER_DOWNLOADS }),
    Worker.create({ ...common, taskQueue: spool.control, maxConcurrentActivityTaskPolls: 1 }),
    Worker.create({
      ...common,
      taskQueue: PEAKS_QUEUE,
      maxConcurrentActivityTaskExecutions: PEAKS_SLOTS,
      maxConcurrentActivityTaskPolls: 1,
    }),
    Worker.create({ ...common, taskQueue: EXOTEL_API_QUEUE, maxTaskQueueActivitiesPerSecond: EXOTEL_REQUESTS_PER_SECOND }),
    Worker.create({ ...common, taskQueue: BACKFILL_QUEUE, maxTaskQueueActivitiesPerSecond: BACKFILL_REQUESTS_PER_SECOND }),
  ])
}
