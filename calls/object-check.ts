// Rows against the bucket's objects, both ways.
import type { Database, Queryable } from '../platform/database.ts'
import type { ObjectCheckResult } from '../workflows/contracts/maintenance.ts'

export interface StoredRow {
  id: string
  callSid: string
  key: string
  bytes: number
}

/** Stored recordings in our bucket: all behind `afterId`, in order, or as many taken at random. */
export async function storedRows(
  database: Queryable,
  { bucket, afterId, limit, sampled }: { bucket: string; afterId: string; limit: number; sampled: boolean },
): Promise<StoredRow[]> {
  const rows = await database.$queryRaw<(Omit<StoredRow, 'bytes'> & { bytes: bigint })[]>`
    SELECT id::text, call_sid AS "callSid", object_key AS key, bytes FROM recordings
    WHERE state = 'stored' AND bucket = ${bucket} AND id > ${afterId}::bigint
    ORDER BY CASE WHEN ${sampled} THEN random() END, recordings.id LIMIT ${limit}`
  return rows.map((row) => ({ ...row, bytes: Number(row.bytes) }))
}

/**
 * The one way down from `stored`: the object is gone, or is another. Recovery fetches it again at once, while Exotel has it; one
 * that we adopted without knowing its link is given up. The call leads to another stored recording of its own, where there is one.
 * @param attempt names this look: told twice, it is one attempt
 */
export async function markObjectMissing(
  database: Database,
  { id, callSid }: StoredRow,
  { error, attempt }: { error: string; attempt: string },
): Promise<{ givenUp: boolean }> {
  return database.$transaction(async (transaction) => {
    await transaction.$executeRaw`SELECT FROM calls WHERE call_sid = ${callSid} FOR UPDATE`
    const [marked] = await transaction.$queryRaw<{ sourceUrl: string; givenUp: boolean }[]>`
      UPDATE recordings SET state = 'failed', state_since = now(), error = ${error}, error_code = 'ObjectMissing', updated_at = now(),
        next_try_at = CASE WHEN source_url LIKE 'object:%' THEN NULL ELSE now() END,
        given_up_at = CASE WHEN source_url LIKE 'object:%' THEN now() END
      WHERE id = ${id}::bigint AND state = 'stored'
      RETURNING source_url AS "sourceUrl", given_up_at IS NOT NULL AS "givenUp"`
    if (!marked) return { givenUp: false }
    await transaction.$executeRaw`
      INSERT INTO recording_attempts (call_sid, source_url, identity, state, error, error_code)
      VALUES (${callSid}, ${marked.sourceUrl}, ${attempt}, 'failed', ${error}, 'ObjectMissing')
      ON CONFLICT (identity) DO NOTHING`
    await transaction.$executeRaw`
      WITH other AS (
        SELECT bucket, object_key FROM recordings WHERE call_sid = ${callSid} AND state = 'stored' ORDER BY id LIMIT 1
      ), gone AS (
        SELECT bucket, object_key FROM recordings WHERE id = ${id}::bigint
      )
      UPDATE calls SET
        recording_state = CASE WHEN EXISTS (SELECT FROM other) THEN 'stored' ELSE 'failed' END,
        recording_state_since = CASE WHEN EXISTS (SELECT FROM other) THEN recording_state_since ELSE now() END,
        recording_url = (SELECT replace(recording_url, gone.bucket || '/' || gone.object_key, other.bucket || '/' || other.object_key) FROM other, gone),
        recording_error = ${error}, recording_error_code = 'ObjectMissing', updated_at = now(),
        recording_next_try_at = CASE WHEN NOT ${marked.givenUp} THEN now() END,
        recording_given_up_at = CASE WHEN ${marked.givenUp} THEN now() END
      WHERE call_sid = ${callSid} AND recording_state <> 'erased'`
    return { givenUp: marked.givenUp }
  })
}

/** @param identity names the check: told twice, it is one row */
export async function recordObjectCheck(
  database: Queryable,
  identity: string,
  check: ObjectCheckResult & { full: boolean },
): Promise<void> {
  const { full, rows, missing, objects, unknown, adopted, deleted, foreign = 0 } = check
  await database.$executeRaw`
    INSERT INTO object_checks (identity, "full", rows, missing, objects, unknown, adopted, deleted, "foreign")
    VALUES (${identity}, ${full}, ${rows}, ${missing}, ${objects}, ${unknown}, ${adopted}, ${deleted}, ${foreign})
    ON CONFLICT (identity) DO NOTHING`
}

/** Of these keys, those that no row knows, neither as stored nor as kept in quarantine; one that was missing and is back is among them. */
export async function unknownKeys(database: Queryable, keys: string[]): Promise<string[]> {
  const rows = await database.$queryRaw<{ key: string }[]>`
    SELECT key FROM unnest(${keys}::text[]) AS listed (key)
    WHERE NOT EXISTS (SELECT FROM recordings r WHERE r.object_key = key AND r.state IN ('stored', 'quarantined'))
      AND NOT EXISTS (SELECT FROM recording_attempts a WHERE a.object_key = key)`
  return rows.map(({ key }) => key)
}

/** The call's state, the number of its recordings, and the link of the first. */
export async function adopter(
  database: Queryable,
  callSid: string,
): Promise<{ state: string; recordings: number; sourceUrl: string | null } | undefined> {
  const [row] = await database.$queryRaw<{ state: string; recordings: number; sourceUrl: string | null }[]>`
    SELECT c.recording_state AS state, count(r.id)::int AS recordings, min(r.source_url) AS "sourceUrl"
    FROM calls c LEFT JOIN recordings r USING (call_sid) WHERE c.call_sid = ${callSid} GROUP BY c.call_sid`
  return row
}
