// Inputs and results of RecordingWorkflow and its activities. Temporal keeps them in histories for a month: change them only by adding
// optional fields. They contain no phone numbers and no pre-signed links.
import type { CallSid } from './call-sid.ts'
import type { FailureCode } from './failures.ts'

/** Waits and attempts of one run. They are part of its input and do not change after its start. All times in ms, before scaling. */
export interface RecordingPolicy {
  /** Multiplies every wait: 1 in production, less in development and tests. */
  waitScale: number
  /** After this many failures in a row the recording has failed, see `RetryState.failures`. */
  tries: number
  /** An answered call at least this long should have a recording. */
  expectedFromSeconds: number
  /** After this time without a worker that starts the task, the workflow asks the worker whether it has the file. */
  spoolLostAfterMs: number
  /** A run whose history has this many events continues as new. */
  continueAsNewAfterEvents: number
  /** The largest recording that is transferred by one local activity. Absent: all recordings take the durable path. */
  fastPathMaxBytes?: number
}

/** The call that an activity works on. */
export interface CallRef {
  callSid: CallSid
  /** Request id of the webhook that started the run. All processes log it. */
  requestId?: string
}

/** Only the properties of a reference: everything else in the input of an activity would be in Temporal's history as well. */
export function refTo({ callSid, requestId }: CallRef): CallRef {
  return { callSid, ...(requestId && { requestId }) }
}

export interface EndedCall extends CallRef {
  /** When the first event about the call's end arrived, ISO 8601. */
  arrivedAt: string
  policy: RecordingPolicy
}

/** What is known about the call so far. */
export interface CallFactsSoFar {
  /** Exotel's status: completed, busy, no-answer, failed, canceled. */
  status?: string
  /** ISO 8601 */
  endedAt?: string
  durationSeconds?: number
  /** When the newest event that ends the call arrived, ISO 8601. */
  endReportedAt?: string
}

/** The information of one event. It is sent as a signal, also with the start of the workflow. */
export interface CallUpdate extends CallFactsSoFar {
  /** Exotel's links, without their queries. */
  sourceUrls: string[]
  /** The event comes from recovery. A link that is being transferred at this moment is not queued a second time. */
  recovery?: boolean
  /** The earlier search found no recording. Exotel's Call Details are requested again, whatever the status is. */
  searchAgain?: boolean
}

/** What is known about the attempts to transfer one recording. */
export interface RetryState {
  /** Failed attempts in a row that count, see `RecordingPolicy.tries`. */
  failures: number
  /** The longest file that a counted attempt left on its worker's disk, in bytes. An attempt with 1 MB more resets `failures`. */
  furthestBytes: number
  /** Attempts after which the workflow waits and counts no failure. */
  waits: number
  spoolLosses: number
  internalErrors: number
  /** Start of the day for which internal errors and lost spool files are retried, ms since 1970. Absent: none has started. */
  firstTroubleAtMs?: number
  /** The last attempt was refused, and a pre-signed link was obtained after it. */
  linkRenewed: boolean
  /** Task queue of the worker whose disk has a partial download that is worth resuming. */
  resumeOn?: string
  /** ISO 8601. Absent: now. */
  nextAttemptAt?: string
}

/** One link to a recording, as a run keeps it. */
export interface LinkState {
  sourceUrl: string
  retry: RetryState
  /** Task queues of the workers whose disks may have files of this recording. */
  spools: string[]
}

/**
 * `unanswered`: the search ended without a request to Exotel, because nobody answered the call. `asked`: it ended for another reason, in most
 * cases after a request. The names are kept because old histories contain them.
 */
export type SearchState = 'never' | 'unanswered' | 'asked'

/** What a run passes to the next run when it continues as new. */
export interface CarriedOver {
  facts: CallFactsSoFar
  links: LinkState[]
  searched: SearchState
  /** Exotel's Call Details are requested again, whatever the status is. */
  searchAgain?: boolean
  concluded: ConcludedRecording[]
}

export interface SourceRef extends CallRef {
  sourceUrl: string
}

export interface DownloadInput extends SourceRef {
  /** A lower limit than that of the settings. */
  maxBytes?: number
}

export interface Spooled {
  /** Task queue of the worker whose disk has the file. */
  queue: string
  file: string
  bytes: number
  /** Hex. */
  sha256: string
  /** The ETag that S3 will give to the object. Absent only in older histories. */
  etag?: string
  /** Why the file is not the complete recording. `isEncoded`: it has a Content-Encoding, so it cannot be read as audio. */
  broken?: { reason: string; isEncoded?: boolean | undefined }
}

/** The longest incomplete file of a recording that no attempt downloaded completely. `spooled` is absent if no file is left. */
export interface Incomplete {
  spooled?: Spooled
}

export interface AudioFacts {
  contentType: string
  extension: string
  /** These are absent if they cannot be read from a damaged file. */
  codec?: string
  sampleRate?: number
  channels?: number
  durationSeconds?: number
}

/** Result of the validation. `damaged` goes to quarantine, `incomplete` is downloaded again, `refused` is certainly not audio. */
export type Verdict =
  | { kind: 'good'; etag: string; audio: AudioFacts; remark?: string }
  | { kind: 'damaged'; etag: string; audio: AudioFacts; reason: string }
  | { kind: 'incomplete'; reason: string }
  | { kind: 'refused'; reason: string }

export interface UploadInput extends CallRef {
  sourceUrl?: string
  spooled: Spooled
  verdict: Exclude<Verdict, { kind: 'refused' | 'incomplete' }>
}

export interface FastTransferInput extends SourceRef {
  maxBytes: number
  /** See {@link Conclusion}. */
  conclusionId: string
}

/** What the fast path did. After `unfinished`, the durable path continues with the first step whose result is absent. */
export type FastTransferResult =
  | { kind: 'concluded'; outcome: Outcome }
  | {
      kind: 'unfinished'
      /** Why the fast path stopped. */
      reason: string
      /** Task queue of the worker, whose disk may have bytes of the recording. */
      queue?: string
      spooled?: Spooled
      verdict?: Verdict
      stored?: StoredObject
    }

export interface StoredObject {
  bucket: string
  key: string
  url: string
  /** Why the object is not stored under its usual key. */
  remark?: string
}

/** What the row stores about an object. */
export interface ObjectFacts extends StoredObject {
  bytes: number
  sha256: string
  audio: AudioFacts
}

/** The final result for one recording, or for a call without a recording. */
export type Outcome =
  | ({ state: 'stored'; remark?: string } & ObjectFacts)
  | ({ state: 'quarantined'; code: FailureCode; error: string; remark?: string } & ObjectFacts)
  | { state: 'not_recorded'; status?: string }
  | { state: 'failed'; code: FailureCode; error: string }

/** @returns why the recording is not stored; undefined if it is stored, or if the call has no recording */
export function failureOf(outcome: Outcome): { code: FailureCode; error: string } | undefined {
  return outcome.state === 'failed' || outcome.state === 'quarantined' ? { code: outcome.code, error: outcome.error } : undefined
}

/** @returns the object in the bucket, if there is one */
export function objectOf(outcome: Outcome): ObjectFacts | undefined {
  return outcome.state === 'stored' || outcome.state === 'quarantined' ? outcome : undefined
}

/** @returns the outcome of a recording that was uploaded */
export function outcomeOf(stored: StoredObject, spooled: Spooled, verdict: UploadInput['verdict']): Outcome {
  const { remark, ...object } = stored
  const facts = factsOf(object, spooled, verdict)
  return verdict.kind === 'damaged'
    ? { state: 'quarantined', code: 'RecordingDamaged', error: verdict.reason, ...facts, ...withRemark(remark) }
    : { state: 'stored', ...facts, ...withRemark(verdict.remark, remark) }
}

export function factsOf(stored: StoredObject, { bytes, sha256 }: Spooled, { audio }: { audio: AudioFacts }): ObjectFacts {
  return { ...stored, bytes, sha256, audio }
}

export function withRemark(...remarks: (string | undefined)[]): { remark?: string } {
  const remark = remarks.filter((each) => each !== undefined).join('; ')
  return remark ? { remark } : {}
}

export interface Conclusion extends CallRef {
  /** Identifies the conclusion: however often it is written, it is recorded as one attempt. Absent: the activity identifies it. */
  id?: string
  /** Absent: the outcome is about a call for which no link to a recording is known. */
  sourceUrl?: string
  outcome: Outcome
}

/** Why a recording is not stored yet, and when the next attempt starts. */
export interface RetryWait extends CallRef {
  /** Absent: no link to a recording is known yet. */
  sourceUrl?: string
  /** ISO 8601. In the past: the next attempt is in progress. */
  nextTryAt: string
  /** Absent if no error occurred. */
  reason?: { code: string; error: string }
}

export interface CallDetailsRequest extends CallRef {
  /** Time of the next request, ISO 8601. Absent: this is the last request. */
  nextRequestAt?: string
  /** Time of the next request if Exotel answers that the call has not ended. */
  nextRequestWhileRunningAt?: string
}

/**
 * What Exotel's Call Details say about a call's recording. `unavailable`: they cannot be read; `code` is `ExotelUnauthorized` if Exotel refuses
 * this call only. `erased`: no request was sent, because the call is erased in our database.
 */
export type CallDetailsAnswer =
  | { kind: 'named'; sourceUrl: string }
  | { kind: 'none'; status?: string; durationSeconds?: number }
  | { kind: 'unknown call' }
  | { kind: 'unavailable'; reason: string; code?: FailureCode }
  | { kind: 'erased' }

/** Result of the request for a new link to a recording that Exotel refused. */
export interface RenewalResult {
  kind: 'renewed' | 'refused' | 'unavailable'
}

export interface ConcludedRecording {
  /** Absent: the search for a recording. */
  sourceUrl?: string
  state: Outcome['state']
  code?: FailureCode
  error?: string
}

/** The current step of one recording. */
export interface RecordingStep {
  step: string
  /** ISO 8601 */
  since: string
  detail: string
}

/** Result of the query `status`: the newest step, and the current step of each recording in progress. */
export interface RecordingStatus extends RecordingStep {
  callSid: CallSid
  inProgress: (RecordingStep & { sourceUrl?: string })[]
  concluded: ConcludedRecording[]
}
