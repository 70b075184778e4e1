import type { Queryable } from '../platform/database.ts'
import type { Wait } from '../workflows/contracts/recording.ts'

/**
 * Says on the rows why a recording is not there yet and when it is tried again; a conclusion wipes it. What has failed already
 * keeps its own reason.
 */
export async function noteWait(database: Queryable, { callSid, sourceUrl, nextTryAt, reason }: Wait): Promise<void> {
  const [error, code] = [reason?.error ?? null, reason?.code ?? null]
  await database.$executeRaw`
    WITH recording AS (
      UPDATE recordings SET
        next_try_at = ${nextTryAt}::timestamptz,
        error = CASE WHEN state = 'awaiting' THEN ${error} ELSE error END,
        error_code = CASE WHEN state = 'awaiting' THEN ${code} ELSE error_code END,
        updated_at = now()
      WHERE call_sid = ${callSid} AND source_url = ${sourceUrl ?? null} AND state NOT IN ('stored', 'erased')
    )
    UPDATE calls SET
      recording_next_try_at = ${nextTryAt}::timestamptz,
      recording_error = CASE WHEN recording_state = 'awaiting' THEN ${error} ELSE recording_error END,
      recording_error_code = CASE WHEN recording_state = 'awaiting' THEN ${code} ELSE recording_error_code END,
      updated_at = now()
    WHERE call_sid = ${callSid} AND recording_state IN ('awaiting', 'failed', 'quarantined')`
}
