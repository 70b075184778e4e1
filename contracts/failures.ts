// Why a recording is not stored. The same strings stand in Temporal, in `recording_error_code`, in logs and in metrics.

const FAILURE_CODES = [
  'RecordingNotFound', // Exotel answers 404, or "processing", for too long
  'RecordingExpired', // Exotel no longer has it
  'RecordingInvalid', // what came is certainly something else than audio
  'RecordingDamaged', // cannot be judged good, but may be audio: kept in quarantine
  'RecordingTooLarge',
  'RecordingMissing', // an answered call that should have a recording and has none
  'CallUnknown', // Exotel answers 404 for the call, although it lists other calls of the account
  'RecordingUrlRefused', // bad scheme, private address, not a URL
  'RecordingHostNotAllowed', // a public host that neither EXOTEL_RECORDING_HOSTS nor EXOTEL_PUBLIC_RECORDING_HOSTS names
  'DownloadIncomplete', // cut, stalled, too slow, or not as long as announced
  'ExotelUnauthorized', // this recording is refused although our credentials are accepted
  'ExotelUnavailable', // no answer, 5xx
  'ObjectMissing', // was stored, is gone from the bucket
  'InternalError', // nothing above names it
  'Cancelled', // by a person
] as const
export type FailureCode = (typeof FAILURE_CODES)[number]

/** Ours, or an outage: the activity gives its task back and waits; these never end a recording. */
export type WaitingCode =
  | 'SpoolFull'
  | 'SpoolUnavailable'
  | 'StorageUnavailable'
  | 'StorageMisconfigured'
  | 'DatabaseUnavailable'
  | 'OutcomeRejected' // PostgreSQL refuses to store how a recording ended, and will again
  | 'ExotelRateLimited'
  | 'ExotelUnavailable' // of its list of calls; of one recording it is a failure
  | 'ExotelCredentialsRefused'
  | 'ExotelAccountNotFound' // 404 for the list of calls: EXOTEL_API_BASE_URL or EXOTEL_ACCOUNT_SID is wrong
  | 'WorkerShutdown'

/** The spooled file is not there, or not as it was: download again. */
export const SPOOL_FILE_LOST = 'SpoolFileLost'

/** Exotel answered 429 for one recording: the workflow waits, and counts no failure. */
export const RATE_LIMITED = 'ExotelRateLimited'

export function isFailureCode(text: unknown): text is FailureCode {
  return FAILURE_CODES.some((code) => code === text)
}
