import type { Client } from '@temporalio/client'
import type { RecoveryPlan } from '../calls/recovery-plan.ts'
import { ExotelApi, exotelApiSettings } from '../exotel/api-client.ts'
import { createRecordingAgents, START_DEADLINE_MS, type RecordingSource } from '../exotel/recording-request.ts'
import type { AlarmName } from '../contracts/alarm-names.ts'
import type { Alarms } from '../platform/alarm-registry.ts'
import type { Config } from '../platform/config.ts'
import type { Database } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'
import { scaled, type Pauses } from '../platform/retry.ts'
import { pausesOf } from '../platform/retry-settings.ts'
import { createStoreBreaker, type StoreBreaker } from '../recordings/breaker.ts'
import type { Spool } from '../recordings/spool.ts'
import { BucketObjects } from '../recordings/bucket-objects.ts'
import { storeSettings } from '../recordings/s3-client.ts'
import { RecordingStore } from '../recordings/store.ts'
import type { Pace } from '../recordings/timed-chunks.ts'
import { RECORDING_PACE } from '../recordings/transfer.ts'

interface RecoverySettings {
  plan: RecoveryPlan
  /** The maximum number of calls that one pass handles, so that recovery does not delay new calls. */
  perPass: number
  /** Recovery checks a waiting call if nothing has changed about it for this long. */
  quietMs: number
  /** After recovery has signaled a failed recording to an open run, it waits at least this long before it signals it again. */
  openRunPauseMs: number
}

interface DownloadSettings {
  /** The maximum number of concurrent downloads in each of the worker's task queues for downloads. */
  slots: number
  /** The deadline from the request to the start of the audio. */
  startMs: number
  /** The limits for the transfer of the audio. */
  pace: Pace
}

interface CleanUpSettings {
  webhookBodyDays: number
  sessionDays: number
  /** If a kind of clean-up has not finished for this long, an alarm is raised. */
  overdueMs: number
}

/** The dependencies of all activities. The worker creates them. */
export interface Dependencies {
  database: Database
  temporal: Client
  exotelApi: ExotelApi
  /** How recordings are requested: the allowed links, the credentials and the HTTP agents. */
  source: RecordingSource
  downloads: DownloadSettings
  spool: Spool
  store: RecordingStore
  bucketObjects: BucketObjects
  breaker: StoreBreaker
  alarms: Alarms<AlarmName>
  logger: Logger
  maxBytes: number
  cleanUp: CleanUpSettings
  recovery: RecoverySettings
  /** The pauses between attempts if a service is unavailable. */
  pauses: Pauses
  waitScale: number
}

/** Computations of peaks that run at the same time: one for the schedule, one for a listener. Each may read an object for minutes. */
export const PEAKS_SLOTS = 2
/** Longer than the start of a workflow takes. */
const QUIET_MINUTES = 10
/** A transfer that waits for Exotel or for S3 may take hours. */
const OPEN_RUN_PAUSE_MINUTES = 6 * 60

/**
 * Creates all dependencies except the Temporal client, and opens no connections. The caller closes what it passed in, the store, the
 * client of the bucket's objects, and the source's agents.
 */
export function openDependencies(
  config: Config,
  shared: Pick<Dependencies, 'database' | 'spool' | 'alarms' | 'logger'>,
): Omit<Dependencies, 'temporal'> {
  const policy = {
    hosts: config.EXOTEL_RECORDING_HOSTS,
    publicHosts: config.EXOTEL_PUBLIC_RECORDING_HOSTS,
    allowLocal: config.EXOTEL_ALLOW_LOCAL,
  }
  const credentials = { apiKey: config.EXOTEL_API_KEY, apiToken: config.EXOTEL_API_TOKEN }
  const settings = { ...storeSettings(config), connections: config.WORKER_UPLOADS * 2 }
  const store = new RecordingStore(settings)
  return {
    ...shared,
    exotelApi: new ExotelApi(exotelApiSettings(config)),
    source: { policy, credentials, agents: createRecordingAgents(policy) },
    downloads: { slots: config.WORKER_DOWNLOADS, startMs: START_DEADLINE_MS, pace: RECORDING_PACE },
    store,
    bucketObjects: new BucketObjects({ ...settings, connections: 4 + PEAKS_SLOTS }),
    breaker: createStoreBreaker({ ...shared, waitScale: config.RECORDING_WAIT_SCALE, probe: (signal) => store.probe(signal) }),
    maxBytes: config.RECORDING_MAX_BYTES,
    cleanUp: cleanUpSettings(config),
    recovery: recoverySettings(config),
    pauses: scaled(pausesOf(config, 'OUTAGE'), config.RECORDING_WAIT_SCALE),
    waitScale: config.RECORDING_WAIT_SCALE,
  }
}

function cleanUpSettings(config: Config): CleanUpSettings {
  const overdueMinutes = Math.max(24 * 60, 2 * config.SESSION_CLEANUP_EVERY_MINUTES)
  return {
    webhookBodyDays: config.WEBHOOK_BODY_DAYS,
    sessionDays: config.SESSION_DAYS,
    overdueMs: overdueMinutes * 60_000 * config.RECORDING_WAIT_SCALE,
  }
}

function recoverySettings(config: Config): RecoverySettings {
  const minutes = (count: number): number => count * 60_000 * config.RECORDING_WAIT_SCALE
  return {
    plan: { pausesMs: config.RECOVERY_PAUSES_MINUTES.map(minutes), forMs: minutes(config.RECOVERY_FOR_DAYS * 24 * 60) },
    perPass: config.RECOVERY_PER_PASS,
    quietMs: minutes(QUIET_MINUTES),
    openRunPauseMs: minutes(OPEN_RUN_PAUSE_MINUTES),
  }
}
