// Writes the outcome of one recording: its own row and its call's summary, in one transaction. A state is never replaced by one of a
// lower rank.
import type { CallSid } from '../contracts/call-sid.ts'
import type { Database, Queryable } from '../platform/database.ts'
import { failureOf, objectOf, type AudioFacts, type Conclusion, type Outcome } from '../contracts/recording.ts'
import { nextRecovery, type RecoveryPlan } from './recovery-plan.ts'

/** Limit of the column, `NUMERIC(10, 3)`. */
const MAX_DURATION_SECONDS = 9_999_999

export interface ConclusionContext {
  /** Identifies the attempt, so that a repeated activity records it once. */
  attempt: string
  plan: RecoveryPlan
}

/** Whether and when recovery tries again. Both are null if the recording is stored or the call has none. */
interface RetryDecision {
  nextTryAt: Date | null
  givenUpAt: Date | null
}

interface Concluded {
  /** The recording is not stored, and recovery does not try again. */
  givenUp: boolean
  /** Nothing was written, because the call or this recording is erased. An object that was uploaded for it has no owner. */
  erased?: true
}

/**
 * Idempotent: a repeated or late outcome never replaces a better one. A later outcome of the same rank (failed, quarantined,
 * not recorded) replaces the earlier one. Rows of erased calls and recordings are not changed.
 */
export async function concludeRecording(database: Database, conclusion: Conclusion, context: ConclusionContext): Promise<Concluded> {
  return database.$transaction((transaction) => concludeWithin(transaction, conclusion, context))
}

/** The same as a part of a transaction. */
export async function concludeWithin(transaction: Queryable, conclusion: Conclusion, context: ConclusionContext): Promise<Concluded> {
  const { callSid, sourceUrl, outcome } = conclusion
  if (await recordAttempt(transaction, conclusion, context.attempt)) return { givenUp: false, erased: true }
  const retry = await decideRetry(transaction, conclusion, context.plan)
  const rows = sourceUrl === undefined ? 0 : await concludeRow(transaction, callSid, sourceUrl, outcome, retry)
  const calls = await updateCallSummary(transaction, callSid, outcome, retry)
  return { givenUp: retry.givenUpAt !== null && (sourceUrl === undefined ? calls : rows) > 0 }
}

/**
 * Locks the call's row, so that its outcomes are written one after the other, and inserts the attempt. The call's row may be missing after
 * the database was restored from a backup; then it is inserted.
 * @returns whether the call or this recording is erased; then nothing was inserted
 */
async function recordAttempt(
  transaction: Queryable,
  { callSid, outcome, requestId, ...recording }: Conclusion,
  identity: string,
): Promise<boolean> {
  const sourceUrl = recording.sourceUrl ?? null
  const failure = failureOf(outcome)
  const quarantined = failure && objectOf(outcome)
  const [call] = await transaction.$queryRaw<{ erased: boolean }[]>`
    WITH call AS (
      INSERT INTO calls (call_sid, recording_state) VALUES (${callSid}, 'awaiting') ON CONFLICT (call_sid) DO UPDATE SET updated_at = now()
      RETURNING recording_state = 'erased'
        OR EXISTS (SELECT FROM recordings WHERE call_sid = ${callSid} AND source_url = ${sourceUrl} AND state = 'erased') AS erased
    ), attempt AS (
      INSERT INTO recording_attempts (call_sid, source_url, identity, state, error, error_code, bucket, object_key, request_id)
      SELECT ${callSid}, ${sourceUrl}, ${identity}, ${outcome.state}, ${failure?.error ?? null}, ${failure?.code ?? null},
             ${quarantined?.bucket ?? null}, ${quarantined?.key ?? null}, ${requestId ?? null}
      FROM call WHERE NOT erased
      ON CONFLICT (identity) DO NOTHING
    )
    SELECT erased FROM call`
  return call!.erased
}

/** All attempts together decide whether and when recovery tries again. */
async function decideRetry(
  transaction: Queryable,
  { callSid, outcome, ...recording }: Conclusion,
  plan: RecoveryPlan,
): Promise<RetryDecision> {
  const failure = failureOf(outcome)
  if (!failure) return { nextTryAt: null, givenUpAt: null }
  const sourceUrl = recording.sourceUrl ?? null
  const [row] = await transaction.$queryRaw<{ failures: number; since: Date; now: Date }[]>`
    WITH mine AS (
      SELECT id, state, error_code, concluded_at FROM recording_attempts
      WHERE call_sid = ${callSid} AND source_url IS NOT DISTINCT FROM ${sourceUrl}
    )
    SELECT count(*)::int AS failures, COALESCE(min(concluded_at), now()) AS since, now() AS now FROM mine
    WHERE error_code IS NOT NULL AND id > COALESCE((SELECT max(id) FROM mine WHERE state = 'stored'), 0)`
  const nextTryAt = nextRecovery(failure.code, row!, plan) ?? null
  return { nextTryAt, givenUpAt: nextTryAt === null ? row!.now : null }
}

async function concludeRow(
  transaction: Queryable,
  callSid: CallSid,
  sourceUrl: string,
  outcome: Outcome,
  retry: RetryDecision,
): Promise<number> {
  const object = objectOf(outcome)
  const failure = failureOf(outcome)
  return transaction.$executeRaw`
    INSERT INTO recordings AS r (call_sid, source_url, state, error, error_code, bucket, object_key, bytes, sha256, content_type,
                                 codec, sample_rate, channels, duration_seconds, remark, next_try_at, given_up_at)
    VALUES (${callSid}, ${sourceUrl}, ${outcome.state}, ${failure?.error ?? null}, ${failure?.code ?? null}, ${object?.bucket ?? null}, ${object?.key ?? null}, ${object?.bytes ?? null}::bigint,
            ${object?.sha256 ?? null}, ${object?.audio.contentType ?? null}, ${object?.audio.codec ?? null}, ${object?.audio.sampleRate ?? null}::int,
            ${object?.audio.channels ?? null}::int, ${durationOf(object)}::numeric, ${object?.remark ?? null},
            ${retry.nextTryAt}::timestamptz, ${retry.givenUpAt}::timestamptz)
    ON CONFLICT (call_sid, source_url) DO UPDATE SET
      state = excluded.state, error = excluded.error, error_code = excluded.error_code,
      next_try_at = excluded.next_try_at, given_up_at = excluded.given_up_at,
      state_since = CASE WHEN r.state = excluded.state THEN r.state_since ELSE now() END,
      bucket = COALESCE(excluded.bucket, r.bucket), object_key = COALESCE(excluded.object_key, r.object_key),
      bytes = COALESCE(excluded.bytes, r.bytes), sha256 = COALESCE(excluded.sha256, r.sha256),
      content_type = COALESCE(excluded.content_type, r.content_type), codec = COALESCE(excluded.codec, r.codec),
      sample_rate = COALESCE(excluded.sample_rate, r.sample_rate), channels = COALESCE(excluded.channels, r.channels),
      duration_seconds = COALESCE(excluded.duration_seconds, r.duration_seconds), remark = excluded.remark, updated_at = now()
    WHERE recording_state_rank(excluded.state) >= recording_state_rank(r.state) AND r.state <> 'stored'`
}

/**
 * Derives the call's summary from the rows of its recordings: the URL of the first one that was stored, and the failure of one that is
 * missing. Without any recording, the summary is the outcome of the search.
 */
async function updateCallSummary(transaction: Queryable, callSid: CallSid, outcome: Outcome, retry: RetryDecision): Promise<number> {
  const failure = failureOf(outcome)
  const status = outcome.state === 'not_recorded' ? (outcome.status ?? null) : null
  const url = outcome.state === 'stored' ? outcome.url : null
  return transaction.$executeRaw`
    WITH missing AS (
      SELECT state, error, error_code FROM recordings
      WHERE call_sid = ${callSid} AND state IN ('failed', 'quarantined') ORDER BY state_since DESC, id LIMIT 1
    ), rows AS (
      SELECT count(*) AS named, count(*) FILTER (WHERE state = 'stored') AS stored,
             min(next_try_at) AS next_try_at,
             CASE WHEN bool_and(given_up_at IS NOT NULL OR state = 'stored') THEN max(given_up_at) END AS given_up_at
      FROM recordings WHERE call_sid = ${callSid}
    ), summary AS (
      SELECT CASE WHEN rows.stored > 0 THEN 'stored' WHEN missing.state IS NOT NULL THEN missing.state
                  WHEN rows.named > 0 THEN 'awaiting' ELSE ${outcome.state} END AS state,
             CASE WHEN rows.named > 0 THEN missing.error ELSE ${failure?.error ?? null} END AS error,
             CASE WHEN rows.named > 0 THEN missing.error_code ELSE ${failure?.code ?? null} END AS error_code,
             CASE WHEN rows.named > 0 THEN rows.next_try_at ELSE ${retry.nextTryAt}::timestamptz END AS next_try_at,
             CASE WHEN rows.named > 0 THEN rows.given_up_at ELSE ${retry.givenUpAt}::timestamptz END AS given_up_at
      FROM rows LEFT JOIN missing ON true
    )
    UPDATE calls SET
      recording_state = summary.state,
      recording_state_since = CASE WHEN recording_state = summary.state THEN recording_state_since ELSE now() END,
      recording_url = CASE WHEN summary.state = 'stored' THEN COALESCE(recording_url, ${url}) END,
      recording_error = summary.error,
      recording_error_code = summary.error_code,
      recording_next_try_at = summary.next_try_at,
      recording_given_up_at = summary.given_up_at,
      recording_concluded_status = CASE WHEN ${outcome.state} = 'not_recorded' THEN ${status}
                                        ELSE recording_concluded_status END,
      updated_at = now()
    FROM summary
    WHERE call_sid = ${callSid}
      AND recording_state_rank(summary.state) >= recording_state_rank(recording_state)`
}

/** A damaged header may claim a length that no column holds. */
function durationOf(object: { audio: AudioFacts } | undefined): number | null {
  const seconds = object?.audio.durationSeconds
  return seconds !== undefined && seconds < MAX_DURATION_SECONDS ? seconds : null
}
