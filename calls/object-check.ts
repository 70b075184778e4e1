// The rows whose objects should be in the bucket, and the record of each object check.
import type { CallSid } from '../contracts/call-sid.ts'
import type { Database, Queryable } from '../platform/database.ts'
import type { ObjectCheckResult } from '../contracts/maintenance.ts'

export interface StoredRow {
  id: string
  callSid: CallSid
  key: string
  bytes: number
}

interface RowsWanted {
  bucket: string
  limit: number
}

type RawRow = Omit<StoredRow, 'bytes'> & { bytes: bigint }

/**
 * Selects stored recordings in our bucket after `afterId`, by id. Those of erased calls are left out, because their objects may be deleted.
 * The subquery is a lookup by key for each row of the page. A join might read all calls.
 */
export async function storedRowsAfter(database: Queryable, afterId: string, { bucket, limit }: RowsWanted): Promise<StoredRow[]> {
  const rows = await database.$queryRaw<RawRow[]>`
    SELECT id::text, call_sid AS "callSid", object_key AS key, bytes FROM recordings r
    WHERE state = 'stored' AND bucket = ${bucket} AND id > ${afterId}::bigint
      AND (SELECT c.recording_state FROM calls c WHERE c.call_sid = r.call_sid) <> 'erased'
    ORDER BY r.id LIMIT ${limit}`
  return rows.map(withNumbers)
}

/**
 * Selects a random sample of the stored recordings in our bucket, which does not depend on gaps between the ids. It reads about
 * `limit` random pages of the table and takes `limit` random rows from them. A table with fewer pages is read completely.
 */
export async function sampleStoredRows(database: Queryable, { bucket, limit }: RowsWanted): Promise<StoredRow[]> {
  const [size] = await database.$queryRaw<{ pages: number }[]>`
    SELECT pg_relation_size('recordings')::float8 / current_setting('block_size')::float8 AS pages`
  const percent = Math.min(100, (100 * limit) / Math.max(1, size!.pages))
  const rows = await database.$queryRaw<RawRow[]>`
    WITH sample AS MATERIALIZED (
      SELECT id, call_sid, object_key, bytes FROM recordings TABLESAMPLE SYSTEM (${percent}::real)
      WHERE state = 'stored' AND bucket = ${bucket}
      ORDER BY random() LIMIT ${limit}
    )
    SELECT id::text, call_sid AS "callSid", object_key AS key, bytes FROM sample
    WHERE (SELECT c.recording_state FROM calls c WHERE c.call_sid = sample.call_sid) <> 'erased'`
  return rows.map(withNumbers)
}

function withNumbers(row: RawRow): StoredRow {
  return { ...row, bytes: Number(row.bytes) }
}

/**
 * Moves a recording from `stored` to `failed`, because its object is missing or has another size. No other statement moves a state down.
 * The recording is due at once: the next run of recovery requests it again. An adopted object whose link is unknown is given up. If the call
 * has another stored recording, its URL leads to that one. Rows of an erased call are not changed.
 * @param attempt identifies this check, so that a repeated activity records it once
 */
export async function markObjectMissing(
  database: Database,
  { id, callSid }: StoredRow,
  { error, attempt }: { error: string; attempt: string },
): Promise<{ givenUp: boolean }> {
  return database.$transaction(async (transaction) => {
    const [call] = await transaction.$queryRaw<{ state: string }[]>`
      SELECT recording_state AS state FROM calls WHERE call_sid = ${callSid} FOR UPDATE`
    if (call!.state === 'erased') return { givenUp: false }
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
      WHERE call_sid = ${callSid}`
    return { givenUp: marked.givenUp }
  })
}

/** @param identity of the check, so that a repeated activity records it once */
export async function recordObjectCheck(
  database: Queryable,
  identity: string,
  check: ObjectCheckResult & { full: boolean },
): Promise<void> {
  const { full, rows, missing, objects, unknown, adopted, deleted, foreign = 0, surplus = 0 } = check
  await database.$executeRaw`
    INSERT INTO object_checks (identity, "full", rows, missing, objects, unknown, adopted, deleted, "foreign", surplus)
    VALUES (${identity}, ${full}, ${rows}, ${missing}, ${objects}, ${unknown}, ${adopted}, ${deleted}, ${foreign}, ${surplus})
    ON CONFLICT (identity) DO NOTHING`
}
