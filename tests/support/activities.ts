// Runs activities outside a worker, with a real PostgreSQL, S3 server and disk.
import type { Info } from '@temporalio/activity'
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { createActivities, type Activities } from '../../activities/create.ts'
import type { Dependencies } from '../../activities/dependencies.ts'
import { activityInterceptor } from '../../activities/interceptor.ts'
import type { RecoveryPlan } from '../../calls/recovery-plan.ts'
import { ExotelApi } from '../../exotel/api-client.ts'
import { createRecordingAgents, START_DEADLINE_MS } from '../../exotel/recording-request.ts'
import type { UrlPolicy } from '../../exotel/url-policy.ts'
import type { AlarmName } from '../../contracts/alarm-names.ts'
import { createAlarms, type Alarms } from '../../platform/alarm-registry.ts'
import { connectDatabase, type Database } from '../../platform/database.ts'
import { createStoreBreaker, type StoreBreaker } from '../../recordings/breaker.ts'
import type { UploadSizes } from '../../recordings/digests.ts'
import { BucketObjects } from '../../recordings/bucket-objects.ts'
import type { SpoolLimits } from '../../recordings/spool-space.ts'
import { Spool } from '../../recordings/spool.ts'
import { RecordingStore } from '../../recordings/store.ts'
import type { Pace } from '../../recordings/timed-chunks.ts'
import { RECORDING_PACE } from '../../recordings/transfer.ts'
import { ACCOUNT } from './backend.ts'
import { openBucket, type Bucket } from './bucket.ts'
import { createBucket, createDatabase, home, servers } from './servers.ts'

export const RECOVERY = { pausesMs: [15, 60, 360, 1440, 4320, 1440].map((minutes) => minutes * 60_000), forMs: 30 * 24 * 3600_000 }

export interface Workbench {
  activities: Activities
  /** Runs an activity like Temporal. Rejects with the failure of the activity. */
  run<Name extends keyof Activities>(name: Name, ...args: Parameters<Activities[Name]>): ReturnType<Activities[Name]>
  environment(info?: Partial<Info>): MockActivityEnvironment
  /** Connected with the application's role. */
  database: Database
  /** Connected as the owner of the tables, for tests that prepare rows. */
  owner: Database
  /** The owner's URL, for a test that opens its own connections. */
  databaseUrl: string
  bucket: Bucket
  spool: Spool
  store: RecordingStore
  alarms: Alarms<AlarmName>
  breaker: StoreBreaker
  /** Recreates the worker's state at its start: no alarms, and a closed circuit breaker. */
  restart(): void
  close(): Promise<void>
}

export async function openWorkbench(
  options: {
    apiBaseUrl?: string
    s3Endpoint?: string
    uploadSizes?: UploadSizes
    /** The default of the store is used if this is explicitly undefined. */
    shownAfterMs?: number[] | undefined
    /** The bucket of another workbench. By default a new one is created. */
    bucket?: string
    maxBytes?: number
    limits?: SpoolLimits
    policy?: UrlPolicy
    downloads?: { slots?: number; startMs?: number; pace?: Pace }
    waitScale?: number
    recovery?: RecoveryPlan
  } = {},
): Promise<Workbench> {
  const logger = pino({ level: 'silent' })
  const [created, access] = await Promise.all([
    createDatabase(),
    options.bucket === undefined ? createBucket() : { ...servers.s3, bucket: options.bucket },
  ])
  const database = connectDatabase({ url: created.applicationUrl, poolSize: 5, logger })
  const owner = connectDatabase({ url: created.url, poolSize: 1, logger })
  const folder = mkdtempSync(join(home, 'spool-'))
  const spool = await Spool.open(folder, 'bench', options.limits ?? { maxBytes: 10 * 1024 ** 3, minFreeBytes: 0 }, () => {})
  const bucketObjects = new BucketObjects({ ...access, endpoint: options.s3Endpoint ?? access.endpoint, connections: 2 })
  const policy = options.policy ?? { hosts: ['127.0.0.1'], publicHosts: [], allowLocal: true }
  const agents = createRecordingAgents(policy)
  const start = (): { store: RecordingStore; alarms: Alarms<AlarmName>; activities: Activities; deps: Dependencies } => {
    const store = new RecordingStore(
      { ...access, endpoint: options.s3Endpoint ?? access.endpoint, connections: 8 },
      options.uploadSizes,
      'shownAfterMs' in options ? options.shownAfterMs : [50, 100],
    )
    const alarms = createAlarms<AlarmName>(logger)
    const deps: Dependencies = {
      database,
      exotelApi: new ExotelApi({ baseUrl: options.apiBaseUrl ?? 'http://127.0.0.1:1', ...ACCOUNT }),
      source: { policy, credentials: ACCOUNT, agents },
      downloads: { slots: 16, startMs: START_DEADLINE_MS, pace: RECORDING_PACE, ...options.downloads },
      spool,
      store,
      bucketObjects,
      breaker: createStoreBreaker({ alarms, logger, waitScale: options.waitScale ?? 1, probe: (signal) => store.probe(signal) }),
      alarms,
      logger,
      maxBytes: options.maxBytes ?? 6 * 1024 ** 3,
      pauses: { firstMs: 2000 * (options.waitScale ?? 1), maxMs: 300_000 * (options.waitScale ?? 1) },
      waitScale: options.waitScale ?? 1,
      cleanUp: { webhookBodyDays: 90, sessionDays: 30, overdueMs: 24 * 3600_000 },
      recovery: { plan: options.recovery ?? RECOVERY, perPass: 100, quietMs: 600_000, openRunPauseMs: 6 * 3600_000 },
      temporal: undefined as never, // activities that use Temporal are tested with the whole backend
    }
    return { store, alarms, activities: createActivities(deps), deps }
  }
  let worker = start()
  const environment = (info: Partial<Info> = {}): MockActivityEnvironment =>
    new MockActivityEnvironment(
      info,
      // tests cause failures on purpose, so warnings are not logged
      { logger: new DefaultLogger('ERROR'), interceptors: [activityInterceptor(worker.deps)] },
    )
  return {
    get activities() {
      return worker.activities
    },
    run: (name, ...args) => environment().run(worker.activities[name] as never, ...(args as unknown as never[])) as never,
    environment,
    database,
    owner,
    databaseUrl: created.url,
    bucket: openBucket(access),
    spool,
    get store() {
      return worker.store
    },
    get alarms() {
      return worker.alarms
    },
    get breaker() {
      return worker.deps.breaker
    },
    restart() {
      worker.store.close()
      worker = start()
    },
    async close() {
      agents.destroy()
      worker.store.close()
      bucketObjects.close()
      await spool.close()
      rmSync(folder, { recursive: true, force: true })
      await Promise.all([database.$disconnect(), owner.$disconnect()])
      await created.drop()
    },
  }
}
