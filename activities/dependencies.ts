import type { Dispatcher } from 'undici'
import { ExotelApi } from '../exotel/api-client.ts'
import { createRecordingAgent, type ExotelCredentials } from '../exotel/recording-request.ts'
import type { UrlPolicy } from '../exotel/url-policy.ts'
import type { Alarms } from '../platform/alarms.ts'
import type { Config } from '../platform/config.ts'
import type { Database } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'
import { createStoreBreaker, type StoreBreaker } from '../recordings/breaker.ts'
import type { Spool } from '../recordings/spool.ts'
import { RecordingStore } from '../recordings/store.ts'

/** What the side effects are made with; the worker puts it together. */
export interface Dependencies {
  database: Database
  exotelApi: ExotelApi
  /** How recordings are fetched: which links, with which key, over which sockets. */
  source: { policy: UrlPolicy; credentials: ExotelCredentials; dispatcher: Dispatcher }
  spool: Spool
  store: RecordingStore
  breaker: StoreBreaker
  alarms: Alarms
  logger: Logger
  maxBytes: number
  /** Shortens the pauses of given-back tasks, as `RECORDING_WAIT_SCALE` does all others. */
  waitScale: number
}

/** Opens no connection yet; the caller closes what it handed in, the store and the dispatcher. */
export function openDependencies(config: Config, shared: Pick<Dependencies, 'database' | 'spool' | 'alarms' | 'logger'>): Dependencies {
  const policy = { hosts: config.EXOTEL_RECORDING_HOSTS, allowLocal: config.EXOTEL_ALLOW_LOCAL }
  const credentials = { apiKey: config.EXOTEL_API_KEY, apiToken: config.EXOTEL_API_TOKEN }
  return {
    ...shared,
    exotelApi: new ExotelApi({ baseUrl: config.EXOTEL_API_BASE_URL, accountSid: config.EXOTEL_ACCOUNT_SID, ...credentials }),
    source: { policy, credentials, dispatcher: createRecordingAgent(policy) },
    store: new RecordingStore({
      endpoint: config.WASABI_ENDPOINT,
      region: config.WASABI_REGION,
      bucket: config.WASABI_BUCKET,
      accessKeyId: config.WASABI_ACCESS_KEY,
      secretAccessKey: config.WASABI_SECRET_KEY,
      connections: config.WORKER_UPLOADS * 2,
    }),
    breaker: createStoreBreaker({ ...shared, waitScale: config.RECORDING_WAIT_SCALE }),
    maxBytes: config.RECORDING_MAX_BYTES,
    waitScale: config.RECORDING_WAIT_SCALE,
  }
}
