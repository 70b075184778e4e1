// Inputs and results of RecordingWorkflow and its activities. They lie in histories for a month: change them only by adding
// optional fields. They hold no telephone numbers and no pre-signed links.
import type { CallSid } from './call-sid.ts'
import type { FailureCode } from './failures.ts'

/** The waits and tries of one run, frozen into its input at its start. All times in ms, before scaling. */
export interface RecordingPolicy {
  /** Multiplies every wait: 1 in production, less for people and tests. */
  waitScale: number
  /** How often Exotel may fail one recording before it counts as failed. */
  tries: number
  /** An answered call at least this long should have a recording. */
  expectedFromSeconds: number
  /** How long a spooled file waits for its worker. */
  spoolLostAfterMs: number
  /** A run whose history has this many events continues as new. */
  continueAsNewAfterEvents: number
}

/** What every step is about. */
export interface CallRef {
  callSid: CallSid
  /** Of the webhook that started the run: the same in the logs of every process. */
  requestId?: string
}

export interface EndedCall extends CallRef {
  /** When we first heard of the call's end, ISO 8601. */
  arrivedAt: string
  policy: RecordingPolicy
}

/** What is known of the call itself. */
export interface CallFactsSoFar {
  /** Exotel's word: completed, busy, no-answer, failed, canceled. */
  status?: string
  /** ISO 8601 */
  endedAt?: string
  durationSeconds?: number
  /** When the newest event that ends the call arrived, ISO 8601. */
  endReportedAt?: string
}

/** What one event told about the call; sent as a signal, also with the start. */
export interface CallUpdate extends CallFactsSoFar {
  /** Exotel's links, without their queries. */
  sourceUrls: string[]
  /** The event comes from recovery: a link that is being transferred now is not queued a second time. */
  recovery?: boolean
  /** The call counts as not recorded: Exotel is asked again, whatever the status. */
  searchAgain?: boolean
}

/** What is known of the attempts to transfer one recording. */
export interface RetryState {
  /** Attempts in a row that Exotel failed. */
  failures: number
  furthestBytes: number
  /** Answers that mean "later". */
  waits: number
  spoolLosses: number
  internalErrors: number
  /** First of the lost files and internal errors, ms since 1970. */
  firstTroubleAtMs?: number
  /** The last attempt was refused, and a pre-signed link was obtained since. */
  linkRenewed: boolean
  /** Queue of the worker whose disk holds a part that is worth resuming. */
  resumeOn?: string
  /** ISO 8601; absent: now. */
  nextAttemptAt?: string
}

/** One link to a recording in a run. */
export interface LinkState {
  sourceUrl: string
  retry: RetryState
  /** Queues of the workers whose disks hold something of this recording. */
  spools: string[]
}

/** `unanswered`: concluded without asking Exotel, because nobody answered the call. */
export type SearchState = 'never' | 'unanswered' | 'asked'

/** What a run hands to the next one when its history has become long. */
export interface CarriedOver {
  facts: CallFactsSoFar
  links: LinkState[]
  searched: SearchState
  /** Exotel is asked again, whatever the status. */
  searchAgain?: boolean
  concluded: ConcludedRecording[]
}

export interface SourceRef extends CallRef {
  sourceUrl: string
}

export interface Spooled {
  /** The task queue of the worker whose disk holds the file. */
  queue: string
  file: string
  bytes: number
  /** Hex. */
  sha256: string
  /** Why these bytes are not the whole recording. `isEncoded`: they have a Content-Encoding, so they cannot be read as audio. */
  broken?: { reason: string; isEncoded?: boolean | undefined }
}

/** What is left of a recording of which no attempt brought all. */
export interface Incomplete {
  spooled?: Spooled
}

export interface AudioFacts {
  contentType: string
  extension: string
  /** These are absent where a damaged file does not tell. */
  codec?: string
  sampleRate?: number
  channels?: number
  durationSeconds?: number
}

/** What validation found: worth storing, kept as damaged evidence, to be downloaded again, or certainly something else than audio. */
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

export interface StoredObject {
  bucket: string
  key: string
  url: string
  /** What is unusual about its place. */
  remark?: string
}

/** What the row says about an object. */
export interface ObjectFacts extends StoredObject {
  bytes: number
  sha256: string
  audio: AudioFacts
}

/** How the way of one recording (or of a call without any) ended. */
export type Outcome =
  | ({ state: 'stored'; remark?: string } & ObjectFacts)
  | ({ state: 'quarantined'; code: FailureCode; error: string; remark?: string } & ObjectFacts)
  | { state: 'not_recorded'; status?: string }
  | { state: 'failed'; code: FailureCode; error: string }

/** Why a recording is not stored; undefined if it is stored, or if the call has none. */
export function failureOf(outcome: Outcome): { code: FailureCode; error: string } | undefined {
  return outcome.state === 'failed' || outcome.state === 'quarantined' ? { code: outcome.code, error: outcome.error } : undefined
}

/** The object in the bucket, if there is one. */
export function objectOf(outcome: Outcome): ObjectFacts | undefined {
  return outcome.state === 'stored' || outcome.state === 'quarantined' ? outcome : undefined
}

export interface Conclusion extends CallRef {
  /** Absent: the conclusion is about a call for which no recording was named. */
  sourceUrl?: string
  outcome: Outcome
}

/** Why a recording is not there yet, and when it is tried again. */
export interface RetryWait extends CallRef {
  /** Absent: no recording has been named yet. */
  sourceUrl?: string
  /** ISO 8601. In the past: the next try is under way. */
  nextTryAt: string
  /** Absent where waiting is all there is to say. */
  reason?: { code: string; error: string }
}

export interface CallDetailsRequest extends CallRef {
  /** When Exotel is asked again, ISO 8601; absent: this is the last time. */
  nextRequestAt?: string
  /** The same where Exotel says that the call is not over. */
  nextRequestWhileRunningAt?: string
}

/** What Exotel's Call Details said about a call's recording. `erased`: Exotel was not asked, because the call is erased here. */
export type CallDetailsAnswer =
  | { kind: 'named'; sourceUrl: string }
  | { kind: 'none'; status?: string; durationSeconds?: number }
  | { kind: 'unknown call' }
  | { kind: 'unavailable'; reason: string }
  | { kind: 'erased' }

/** Whether a recording that was refused to us can be had after all. */
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

/** What one recording does or waits for at the moment. */
export interface RecordingStep {
  step: string
  /** ISO 8601 */
  since: string
  detail: string
}

/** Answer of the query `status`: the newest step, and the steps of the recordings in transfer. */
export interface RecordingStatus extends RecordingStep {
  callSid: CallSid
  inProgress: (RecordingStep & { sourceUrl?: string })[]
  concluded: ConcludedRecording[]
}
