// Waveform peaks of recordings. A row counts only while it has the SHA-256 of the stored object.
import type { CallSid } from '../contracts/call-sid.ts'
import type { PeaksPriority, PeaksResult, WithoutPeaksPage } from '../contracts/peaks.ts'
import type { Queryable } from '../platform/database.ts'

/** A recording whose peaks can be computed. */
export interface PeaksSubject {
  id: string
  callSid: CallSid
  key: string
  bytes: number
  sha256: string
}

/** Higher than any id. */
const AFTER_ALL_IDS = '9223372036854775807'
/** Limit of the column, `NUMERIC(10, 3)`. A damaged header may claim a sample rate of 1 Hz. */
const MAX_DURATION_SECONDS = 9_999_999
/** How many recordings one statement reads. */
const ROWS_A_PAGE = 1000

/**
 * Selects the stored recordings without peaks among the next thousand recordings, in descending order of their ids. So the cost of one
 * statement does not depend on how many recordings have peaks. The subqueries are lookups by key; joins might read whole tables.
 * @param before only recordings with a lower id; absent: starts with the newest
 * @returns `before`: where the next page starts; absent if this was the last page
 */
export async function recordingsWithoutPeaks(database: Queryable, bucket: string, before = AFTER_ALL_IDS): Promise<WithoutPeaksPage> {
  const [page] = await database.$queryRaw<{ last: string | null; ids: string[] | null }[]>`
    WITH page AS MATERIALIZED (
      SELECT id, call_sid, state, bucket, sha256 FROM recordings WHERE id < ${before}::bigint ORDER BY id DESC LIMIT ${ROWS_A_PAGE}
    ), due AS MATERIALIZED (
      SELECT id, call_sid FROM page
      WHERE state = 'stored' AND bucket = ${bucket} AND sha256 IS DISTINCT FROM (
        SELECT p.sha256 FROM recording_peaks p WHERE p.recording_id = page.id AND (p.next_try_at IS NULL OR p.next_try_at > now()))
    )
    SELECT (SELECT min(id)::text FROM page) AS last, (
      SELECT array_agg(id::text ORDER BY id DESC) FROM due
      WHERE (SELECT c.recording_state FROM calls c WHERE c.call_sid = due.call_sid) <> 'erased') AS ids`
  const { last, ids } = page!
  return { recordingIds: ids ?? [], ...(last !== null && { before: last }) }
}

/**
 * @returns the recording; `known` if its peaks, or the reason why it has none, are known; `gone` if it has no object in the bucket or its
 *   call is erased. For a listener, a temporary reason does not count.
 */
export async function findPeaksSubject(
  database: Queryable,
  { recordingId, priority, bucket }: { recordingId: string; priority: PeaksPriority; bucket: string },
): Promise<({ kind: 'due' } & PeaksSubject) | { kind: 'known' | 'gone' }> {
  const [row] = await database.$queryRaw<(Omit<PeaksSubject, 'bytes'> & { bytes: bigint; isKnown: boolean })[]>`
    SELECT r.id::text, r.call_sid AS "callSid", r.object_key AS key, r.bytes, r.sha256, EXISTS (
      SELECT FROM recording_peaks p
      WHERE p.recording_id = r.id AND p.sha256 = r.sha256
        AND (p.next_try_at IS NULL OR (p.next_try_at > now() AND ${priority} = 'background'))) AS "isKnown"
    FROM recordings r JOIN calls c USING (call_sid)
    WHERE r.id = ${recordingId}::bigint AND r.bucket = ${bucket} AND r.state IN ('stored', 'quarantined') AND c.recording_state <> 'erased'`
  if (!row) return { kind: 'gone' }
  const { isKnown, bytes, ...subject } = row
  return isKnown ? { kind: 'known' } : { kind: 'due', ...subject, bytes: Number(bytes) }
}

/**
 * Stores the result, unless the recording has another object by now or its call is erased. The call's row is locked, so that no peaks
 * are added while they are deleted.
 * @returns whether the result was stored
 */
export async function recordPeaks(database: Queryable, { id, sha256 }: PeaksSubject, result: PeaksResult): Promise<boolean> {
  const peaks = result.kind === 'peaks' ? result.peaks : undefined
  const reason = result.kind === 'none' ? result.reason : null
  const isTemporary = result.kind === 'none' && result.isTemporary === true
  const rows = await database.$executeRaw`
    INSERT INTO recording_peaks AS p (recording_id, sha256, channels, peaks, duration_seconds, reason, next_try_at)
    SELECT r.id, r.sha256, ${peaks?.channels.length ?? null}::smallint, ${peaks ? Buffer.concat(peaks.channels) : null}::bytea,
           ${peaks ? Math.min(peaks.durationSeconds, MAX_DURATION_SECONDS) : null}::numeric, ${reason}, CASE WHEN ${isTemporary}::boolean THEN now() + interval '1 day' END
    FROM recordings r JOIN calls c USING (call_sid)
    WHERE r.id = ${id}::bigint AND r.sha256 = ${sha256} AND r.state IN ('stored', 'quarantined') AND c.recording_state <> 'erased'
    FOR SHARE OF c
    ON CONFLICT (recording_id) DO UPDATE SET
      sha256 = excluded.sha256, channels = excluded.channels, peaks = excluded.peaks, duration_seconds = excluded.duration_seconds,
      reason = excluded.reason, next_try_at = excluded.next_try_at, computed_at = now()`
  return rows > 0
}

/** @returns the peaks, or why there are none; undefined if they are not computed yet, or if the recording is not stored or is erased */
export async function readPeaks(database: Queryable, recordingId: string): Promise<PeaksResult | undefined> {
  const [row] = await database.$queryRaw<
    { channels: number | null; peaks: Buffer | null; durationSeconds: string | null; reason: string | null; isTemporary: boolean }[]
  >`
    SELECT p.channels, p.peaks, p.duration_seconds AS "durationSeconds", p.reason, p.next_try_at IS NOT NULL AS "isTemporary"
    FROM recording_peaks p JOIN recordings r ON r.id = p.recording_id AND r.sha256 = p.sha256 JOIN calls c USING (call_sid)
    WHERE p.recording_id = ${recordingId}::bigint AND r.state IN ('stored', 'quarantined') AND c.recording_state <> 'erased'`
  if (!row) return undefined
  if (row.reason !== null) return { kind: 'none', reason: row.reason, ...(row.isTemporary && { isTemporary: true }) }
  return { kind: 'peaks', peaks: { channels: channelsOf(row.peaks!, row.channels!), durationSeconds: Number(row.durationSeconds) } }
}

/** Deletes the peaks of all recordings of an erased call. */
export async function deletePeaksOfErasedCall(database: Queryable, callSid: CallSid): Promise<void> {
  await database.$executeRaw`
    DELETE FROM recording_peaks p USING recordings r, calls c
    WHERE p.recording_id = r.id AND r.call_sid = c.call_sid AND c.call_sid = ${callSid} AND c.recording_state = 'erased'`
}

/** The points of one channel follow those of the other. */
function channelsOf(peaks: Buffer, channels: number): Uint8Array[] {
  const points = peaks.length / channels
  return Array.from({ length: channels }, (_, index) => new Uint8Array(peaks.subarray(index * points, (index + 1) * points)))
}
