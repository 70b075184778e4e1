// What activities need of a call's rows beyond their small inputs.
import type { CallSid } from '../contracts/call-sid.ts'
import type { NamedSource } from '../exotel/source-url.ts'
import type { Queryable } from '../platform/database.ts'
import type { CallStatus } from '../contracts/call-status.ts'
import { MAX_DAYS_BEFORE_ARRIVAL } from '../contracts/plausible-end.ts'

export interface Link {
  url: string
  /** `named`: its host must be a known one; `presigned`: Exotel's API gave it to us, wherever it leads, and it is its own credential. */
  kind: 'named' | 'presigned'
}

/** The links to try for one recording, best first: the one with its query where Exotel gave one, then the plain one. */
export async function linksOf(database: Queryable, callSid: CallSid, sourceUrl: string): Promise<Link[]> {
  const rows = await database.$queryRaw<{ fetch_url: string | null }[]>`
    SELECT fetch_url FROM recordings WHERE call_sid = ${callSid} AND source_url = ${sourceUrl}`
  const plain: Link = { url: sourceUrl, kind: 'named' }
  const fetchUrl = rows[0]?.fetch_url
  if (!fetchUrl) return [plain]
  return [{ url: fetchUrl, kind: fetchUrl.startsWith(`${sourceUrl}?`) ? 'named' : 'presigned' }, plain]
}

/**
 * A recording that Exotel's API named: its row, as a webhook would have made it. A new link to fetch replaces the old one.
 * @returns false where the call, or this recording of it, is erased: nothing was written
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

/** Exotel's API told the status of the call: it counts like that of an event. */
export async function advanceStatus(database: Queryable, callSid: CallSid, status: CallStatus): Promise<void> {
  await database.$executeRaw`
    UPDATE calls SET status = ${status}, updated_at = now()
    WHERE call_sid = ${callSid} AND recording_state <> 'erased' AND call_status_rank(${status}) > call_status_rank(status)`
}

/** Of an erased call nothing is fetched, asked for or stored any more. */
export async function isCallErased(database: Queryable, callSid: CallSid): Promise<boolean> {
  const rows = await database.$queryRaw<unknown[]>`SELECT FROM calls WHERE call_sid = ${callSid} AND recording_state = 'erased'`
  return rows.length > 0
}

/** The UTC day in the keys of a call's objects: of its end, else of its arrival here; fixed on the row at the first look. */
export async function fixRecordingDate(database: Queryable, callSid: CallSid): Promise<string> {
  const rows = await database.$queryRaw<{ day: string }[]>`
    INSERT INTO calls AS c (call_sid, recording_state, recording_date)
    VALUES (${callSid}, 'awaiting', (now() AT TIME ZONE 'UTC')::date)
    ON CONFLICT (call_sid) DO UPDATE SET recording_date = COALESCE(c.recording_date, (
      CASE WHEN c.ended_at BETWEEN c.created_at - make_interval(days => ${MAX_DAYS_BEFORE_ARRIVAL}) AND c.created_at + interval '1 day'
           THEN c.ended_at ELSE c.created_at END AT TIME ZONE 'UTC')::date)
    RETURNING to_char(recording_date, 'YYYY-MM-DD') AS day`
  return rows[0]!.day
}

/** Seconds that Exotel says the call lasted, for a remark on a recording of another length. */
export async function callDurationSeconds(database: Queryable, callSid: CallSid): Promise<number | undefined> {
  const rows = await database.$queryRaw<
    { duration_seconds: number | null }[]
  >`SELECT duration_seconds FROM calls WHERE call_sid = ${callSid}`
  return rows[0]?.duration_seconds ?? undefined
}
