// One call with everything that is known about it: its recordings, events, concluded runs, accesses, and actions of people.
import type { CallSid } from '../contracts/call-sid.ts'
import { Prisma, type Queryable } from '../platform/database.ts'
import { SUMMARY_COLUMNS, type CallSummary } from './list-calls.ts'

/** The newest rows of each kind. A call that got more is a fault, and its first rows say nothing about its state now. */
const MOST_ROWS = 500

export interface CallHistory {
  call: CallSummary & {
    accountSid: string | null
    startedAt: Date | null
    endedAt: Date | null
    createdAt: Date
    concludedStatus: string | null
  }
  recordings: RecordingRow[]
  events: EventRow[]
  attempts: AttemptRow[]
  accesses: AccessRow[]
  actions: ActionRow[]
}

interface RecordingRow {
  id: string
  sourceUrl: string
  state: 'awaiting' | 'failed' | 'quarantined' | 'stored' | 'erased'
  stateSince: Date
  errorCode: string | null
  error: string | null
  nextTryAt: Date | null
  givenUpAt: Date | null
  bucket: string | null
  objectKey: string | null
  bytes: bigint | null
  sha256: string | null
  contentType: string | null
  codec: string | null
  sampleRate: number | null
  channels: number | null
  /** `numeric` is text. */
  durationSeconds: string | null
  remark: string | null
}

/** What an event said is left out: its fields contain phone numbers and secret links. */
interface EventRow {
  id: string
  source: string
  route: string
  sourceUrls: string[]
  receivedAt: Date
  relayState: string
  relayedAt: Date | null
  relayError: string | null
  nextRelayAt: Date
  problem: string | null
}

interface AttemptRow {
  id: string
  sourceUrl: string | null
  state: string
  errorCode: string | null
  error: string | null
  objectKey: string | null
  concludedAt: Date
}

interface AccessRow {
  id: string
  recordingId: string
  kind: 'play' | 'download'
  userEmail: string
  createdAt: Date
}

interface ActionRow {
  id: string
  action: string
  userEmail: string
  callSid: string | null
  recordingId: string | null
  subject: string | null
  reason: string | null
  result: 'started' | 'done' | 'repeated' | 'refused' | 'failed'
  detail: string | null
  createdAt: Date
  finishedAt: Date | null
}

/** @returns undefined if the call is not known */
export async function readCallHistory(database: Queryable, callSid: CallSid): Promise<CallHistory | undefined> {
  const [call] = await database.$queryRaw<CallHistory['call'][]>`
    SELECT ${SUMMARY_COLUMNS}, account_sid AS "accountSid", started_at AS "startedAt", ended_at AS "endedAt", created_at AS "createdAt",
           recording_concluded_status AS "concludedStatus"
    FROM calls WHERE call_sid = ${callSid}`
  if (!call) return undefined
  // One query after the other, because webhooks use the same connections.
  const recordings = await database.$queryRaw<RecordingRow[]>`
    SELECT id::text, source_url AS "sourceUrl", state, state_since AS "stateSince", error_code AS "errorCode", error,
           next_try_at AS "nextTryAt", given_up_at AS "givenUpAt", bucket, object_key AS "objectKey", bytes, sha256,
           content_type AS "contentType", codec, sample_rate AS "sampleRate", channels, duration_seconds AS "durationSeconds", remark
    FROM recordings WHERE call_sid = ${callSid} ORDER BY recordings.id LIMIT ${MOST_ROWS}::int`
  const events = await database.$queryRaw<EventRow[]>`
    SELECT id::text, source, route, source_urls AS "sourceUrls", received_at AS "receivedAt", relay_state AS "relayState",
           relayed_at AS "relayedAt", relay_error AS "relayError", next_relay_at AS "nextRelayAt", problem
    FROM webhook_events WHERE call_sid = ${callSid} ORDER BY webhook_events.id DESC LIMIT ${MOST_ROWS}::int`
  const attempts = await database.$queryRaw<AttemptRow[]>`
    SELECT id::text, source_url AS "sourceUrl", state, error_code AS "errorCode", error, object_key AS "objectKey", concluded_at AS "concludedAt"
    FROM recording_attempts WHERE call_sid = ${callSid} ORDER BY recording_attempts.id DESC LIMIT ${MOST_ROWS}::int`
  const accesses = await database.$queryRaw<AccessRow[]>`
    SELECT id::text, recording_id::text AS "recordingId", kind, user_email AS "userEmail", created_at AS "createdAt"
    FROM recording_accesses WHERE call_sid = ${callSid} ORDER BY recording_accesses.id DESC LIMIT ${MOST_ROWS}::int`
  const actions = await database.$queryRaw<ActionRow[]>`
    SELECT ${ACTION_COLUMNS} FROM operator_actions WHERE call_sid = ${callSid} ORDER BY operator_actions.id DESC LIMIT ${MOST_ROWS}::int`
  return {
    call,
    recordings,
    events: events.toReversed(),
    attempts: attempts.toReversed(),
    accesses: accesses.toReversed(),
    actions: actions.toReversed(),
  }
}

const ACTION_COLUMNS = Prisma.sql`
  id::text, action, user_email AS "userEmail", call_sid AS "callSid", recording_id::text AS "recordingId", subject, reason, result, detail,
  created_at AS "createdAt", finished_at AS "finishedAt"`

/** The newest actions of all people. @param before the id of the last action of the previous page */
export function listActions(database: Queryable, { before, limit }: { before: string | undefined; limit: number }): Promise<ActionRow[]> {
  return database.$queryRaw<ActionRow[]>`
    SELECT ${ACTION_COLUMNS} FROM operator_actions
    WHERE operator_actions.id < ${before ?? String(Number.MAX_SAFE_INTEGER)}::bigint ORDER BY operator_actions.id DESC LIMIT ${limit}::int`
}
