// Reads and writes the rows of a call for activities, whose inputs are small.
import type { CallSid } from '../contracts/call-sid.ts'
import type { NamedSource } from '../exotel/source-url.ts'
import type { Queryable } from '../platform/database.ts'
import type { CallStatus } from '../contracts/call-status.ts'
import type { FailureCode } from '../contracts/failures.ts'
import type { AudioFacts } from '../contracts/recording.ts'
import { MAX_DAYS_BEFORE_ARRIVAL } from '../contracts/plausible-end.ts'

export interface Link {
  url: string
  /** `named`: its host must be an allowed one. `presigned`: from Exotel's API, with any host; the link contains its own credentials. */
  kind: 'named' | 'presigned'
}

/**
 * @returns the links for one recording in the order in which they are tried: first the one with a query, if there is one, then the plain
 *   one. Undefined if the call is erased: then nothing is requested
 */
export async function linksOf(database: Queryable, callSid: CallSid, sourceUrl: string): Promise<Link[] | undefined> {
  const [row] = await database.$queryRaw<{ erased: boolean; fetch_url: string | null }[]>`
    SELECT EXISTS (SELECT FROM calls WHERE call_sid = ${callSid} AND recording_state = 'erased') AS erased,
           (SELECT fetch_url FROM recordings WHERE call_sid = ${callSid} AND source_url = ${sourceUrl}) AS fetch_url`
  if (row!.erased) return undefined
  const plain: Link = { url: sourceUrl, kind: 'named' }
  const fetchUrl = row!.fetch_url
  if (!fetchUrl) return [plain]
  return [{ url: fetchUrl, kind: fetchUrl.startsWith(`${sourceUrl}?`) ? 'named' : 'presigned' }, plain]
}

/**
 * Inserts the row of a recording that Exotel's API named, as a webhook would. A new link to fetch replaces the old one.
 * @returns false if the call or this recording is erased; then nothing was written
 */
export async function nameRecording(database: Queryable, callSid: CallSid, source: NamedSource): Promise<boolean> {
  const named = await database.$executeRaw`
    WITH call AS (
      INSERT INTO calls AS c (call_sid, recording_state) VALUES (${callSid}, 'awaiting')
      ON CONFLICT (call_sid) DO UPDATE SET updated_at = now() WHERE c.recording_state <> 'erased'
      RETURNING call_sid
    )
    INSERT INTO recordings AS r (call_sid, source_url, fetch_url)
    SELECT call_sid, ${source.sourceUrl}, ${source.fetchUrl ?? null} FROM call
    ON CONFLICT (call_sid, source_url) DO UPDATE SET fetch_url = COALESCE(excluded.fetch_url, r.fetch_url), updated_at = now()
    WHERE r.state <> 'erased'`
  return named > 0
}

/** Updates the call's status with one from Exotel's API, by the same rule as for an event: a status only advances. */
export async function advanceStatus(database: Queryable, callSid: CallSid, status: CallStatus): Promise<void> {
  await database.$executeRaw`
    UPDATE calls SET status = ${status}, updated_at = now()
    WHERE call_sid = ${callSid} AND recording_state <> 'erased' AND call_status_rank(${status}) > call_status_rank(status)`
}

interface ConcludedRecording {
  state: 'stored' | 'quarantined'
  code: FailureCode | null
  error: string | null
  object: { bucket: string; key: string; bytes: number; sha256: string }
  audio: Omit<AudioFacts, 'extension'>
}

/**
 * @param conclusionId see {@link Conclusion}
 * @returns the recording as this conclusion left it; undefined if it was not written, if the recording failed, or if the call is erased
 */
export async function findConclusion(
  database: Queryable,
  { callSid, sourceUrl, conclusionId }: { callSid: CallSid; sourceUrl: string; conclusionId: string },
): Promise<ConcludedRecording | undefined> {
  const rows = await database.$queryRaw<ConcludedRecording[]>`
    SELECT state, error_code AS code, error,
           jsonb_build_object('bucket', bucket, 'key', object_key, 'bytes', bytes, 'sha256', sha256) AS object,
           jsonb_strip_nulls(jsonb_build_object('contentType', content_type, 'codec', codec, 'sampleRate', sample_rate,
                                                'channels', channels, 'durationSeconds', duration_seconds)) AS audio
    FROM recordings r
    WHERE call_sid = ${callSid} AND source_url = ${sourceUrl} AND state IN ('stored', 'quarantined')
      AND EXISTS (SELECT FROM recording_attempts a WHERE a.call_sid = r.call_sid AND a.state = r.state AND starts_with(a.identity, ${`${conclusionId}/`}))
      AND NOT EXISTS (SELECT FROM calls c WHERE c.call_sid = r.call_sid AND c.recording_state = 'erased')`
  return rows[0]
}

/** For an erased call nothing is requested, downloaded or stored. */
export async function isCallErased(database: Queryable, callSid: CallSid): Promise<boolean> {
  const rows = await database.$queryRaw<unknown[]>`SELECT FROM calls WHERE call_sid = ${callSid} AND recording_state = 'erased'`
  return rows.length > 0
}

/**
 * @returns the UTC day in the keys of a call's objects: the day of its end, or of its arrival if the end is unknown or not plausible. The
 *   first call of this function stores the day on the row; it does not change afterwards. Undefined if the call is erased: then nothing is
 *   uploaded
 */
export async function fixRecordingDate(database: Queryable, callSid: CallSid): Promise<string | undefined> {
  const rows = await database.$queryRaw<{ day: string }[]>`
    INSERT INTO calls AS c (call_sid, recording_state, recording_date)
    VALUES (${callSid}, 'awaiting', (now() AT TIME ZONE 'UTC')::date)
    ON CONFLICT (call_sid) DO UPDATE SET recording_date = COALESCE(c.recording_date, (
      CASE WHEN c.ended_at BETWEEN c.created_at - make_interval(days => ${MAX_DAYS_BEFORE_ARRIVAL}) AND c.created_at + interval '1 day'
           THEN c.ended_at ELSE c.created_at END AT TIME ZONE 'UTC')::date)
    WHERE c.recording_state <> 'erased'
    RETURNING to_char(recording_date, 'YYYY-MM-DD') AS day`
  return rows[0]?.day
}

/** @returns the duration of the call according to Exotel, for a remark on a recording of another length */
export async function callDurationSeconds(database: Queryable, callSid: CallSid): Promise<number | undefined> {
  const rows = await database.$queryRaw<
    { duration_seconds: number | null }[]
  >`SELECT duration_seconds FROM calls WHERE call_sid = ${callSid}`
  return rows[0]?.duration_seconds ?? undefined
}
