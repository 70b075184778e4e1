import type { Dispatcher } from 'undici'
import type { ExotelApi } from '../exotel/api-client.ts'
import type { ExotelCredentials } from '../exotel/recording-request.ts'
import type { UrlPolicy } from '../exotel/url-policy.ts'
import type { Alarms } from '../platform/alarms.ts'
import type { Database } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'
import type { Spool } from '../recordings/spool.ts'
import type { RecordingStore } from '../recordings/store.ts'

/** What the side effects are made with; the worker puts it together. */
export interface Dependencies {
  database: Database
  exotelApi: ExotelApi
  /** How recordings are fetched: which links, with which key, over which sockets. */
  source: { policy: UrlPolicy; credentials: ExotelCredentials; dispatcher: Dispatcher }
  spool: Spool
  store: RecordingStore
  alarms: Alarms
  logger: Logger
  maxBytes: number
  /** Shortens the pauses of given-back tasks, as `RECORDING_WAIT_SCALE` does all others. */
  waitScale: number
}
