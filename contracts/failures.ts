// Why a recording is not stored. Temporal, `recording_error_code`, logs and metrics use the same strings.

const FAILURE_CODES = [
  'RecordingNotFound', // Exotel answers 404, or "processing", for too long
  'RecordingExpired', // Exotel no longer has it
  'RecordingInvalid', // the downloaded bytes are certainly not audio
  'RecordingDamaged', // is not valid, but may be audio: kept in quarantine
  'RecordingTooLarge', // more bytes than the limit arrived
  'RecordingMissing', // an answered call that should have a recording and has none
  'CallUnknown', // Exotel answers 404 for the call, although it lists other calls of the account
  'RecordingUrlRefused', // the link itself: bad scheme, private address, not a URL
  'RecordingHostNotAllowed', // a public host that neither EXOTEL_RECORDING_HOSTS nor EXOTEL_PUBLIC_RECORDING_HOSTS names
  'DownloadIncomplete', // cut, stalled, too slow, not as long as announced, or too long according to the announcement
  'ExotelUnauthorized', // this recording, or this call, is refused although our credentials are accepted
  'ExotelUnavailable', // no response, 5xx, or a redirect or DNS address that is not allowed
  'ObjectMissing', // was stored, but the object is missing from the bucket or has another size
  'InternalError', // none of the codes above applies
  'Cancelled', // a person cancelled the run or erased the call
] as const
export type FailureCode = (typeof FAILURE_CODES)[number]

/** Faults after which an activity waits: it fails with a delay until its next attempt. These codes never end a recording. */
export type WaitingCode =
  | 'SpoolFull'
  | 'SpoolUnavailable'
  | 'StorageUnavailable'
  | 'StorageMisconfigured'
  | 'DatabaseUnavailable'
  | 'OutcomeRejected' // PostgreSQL permanently rejects the outcome of a recording
  | 'ExotelRateLimited'
  | 'ExotelUnavailable' // for the list of calls; for one recording it is a failure
  | 'ExotelCredentialsRefused'
  | 'ExotelAccountNotFound' // the list of calls is not found or empty: EXOTEL_API_BASE_URL or EXOTEL_ACCOUNT_SID is wrong
  | 'WorkerShutdown'

/** The spooled file is missing or was changed. The recording has to be downloaded again. */
export const SPOOL_FILE_LOST = 'SpoolFileLost'

/** Exotel answered 429 for one recording. The workflow waits and does not count a failure. */
export const RATE_LIMITED = 'ExotelRateLimited'

export function isFailureCode(text: unknown): text is FailureCode {
  return FAILURE_CODES.some((code) => code === text)
}
