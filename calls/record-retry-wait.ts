import type { Queryable } from '../platform/database.ts'
import type { RetryWait } from '../contracts/recording.ts'

/**
 * Writes to the rows why a recording is not stored yet and when the next attempt starts. The outcome replaces it. The call's row shows the
 * recording with the earliest next attempt. Rows in another state than `awaiting` are not changed: they show when recovery tries again.
 */
export async function recordRetryWait(database: Queryable, { callSid, sourceUrl, nextTryAt, reason }: RetryWait): Promise<void> {
  const [error, code] = [reason?.error ?? null, reason?.code ?? null]
  await database.$executeRaw`
    WITH recording AS (
      UPDATE recordings SET next_try_at = ${nextTryAt}::timestamptz, error = ${error}, error_code = ${code}, updated_at = now()
      WHERE call_sid = ${callSid} AND source_url = ${sourceUrl ?? null} AND state = 'awaiting'
    ), soonest AS (
      SELECT next_try_at, error, error_code FROM recordings
      WHERE call_sid = ${callSid} AND source_url IS DISTINCT FROM ${sourceUrl ?? null} AND state = 'awaiting' AND next_try_at > now()
      UNION ALL SELECT ${nextTryAt}::timestamptz, ${error}, ${code}
      ORDER BY next_try_at LIMIT 1
    )
    UPDATE calls SET
      recording_next_try_at = soonest.next_try_at, recording_error = soonest.error, recording_error_code = soonest.error_code, updated_at = now()
    FROM soonest
    WHERE call_sid = ${callSid} AND recording_state = 'awaiting'`
}
