import type { Queryable } from '../platform/database.ts'
import type { Wait } from '../workflows/contracts/recording.ts'

/**
 * Says on the rows why a recording is not there yet and when it is tried again; a conclusion wipes it. What has failed already
 * says when recovery tries it again.
 */
export async function noteWait(database: Queryable, { callSid, sourceUrl, nextTryAt, reason }: Wait): Promise<void> {
  const [error, code] = [reason?.error ?? null, reason?.code ?? null]
  await database.$executeRaw`
    WITH recording AS (
      UPDATE recordings SET next_try_at = ${nextTryAt}::timestamptz, error = ${error}, error_code = ${code}, updated_at = now()
      WHERE call_sid = ${callSid} AND source_url = ${sourceUrl ?? null} AND state = 'awaiting'
    )
    UPDATE calls SET
      recording_next_try_at = ${nextTryAt}::timestamptz, recording_error = ${error}, recording_error_code = ${code}, updated_at = now()
    WHERE call_sid = ${callSid} AND recording_state = 'awaiting'`
}
