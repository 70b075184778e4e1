// Compares Exotel's list of ended calls with our rows, and records each pass through the list.
import type { CallSid } from '../contracts/call-sid.ts'
import type { CallEvent } from '../exotel/call-event.ts'
import type { Queryable } from '../platform/database.ts'
import type { PassEnd } from '../contracts/maintenance.ts'
import { ownIdentity, recordEvent } from './record-event.ts'

export type EndedCallEvent = Omit<CallEvent, 'route' | 'ended'>

export interface PassWindow {
  passId: string
  from: Date
  to: Date
}

const HOUR_MS = 3600_000
/** A call may last 4 h. The list is filtered by the creation of calls, and a call is in it only after its end. */
const OVERLAP_MS = 5 * HOUR_MS
/** The window if no pass was ever complete. Older calls need a backfill. */
const FIRST_WINDOW_MS = 72 * HOUR_MS
const NIGHTLY_WINDOW_MS = 72 * HOUR_MS

/**
 * Starts a pass over a window that ends now. The regular pass starts 5 h before the end of the last complete one; the nightly pass covers
 * at least three days.
 * @param identity of the request, so that a repeated activity returns the same pass
 */
export async function startReconcilePass(database: Queryable, kind: 'regular' | 'nightly', identity: string): Promise<PassWindow> {
  const [last] = await database.$queryRaw<{ to: Date | null; now: Date }[]>`
    SELECT max(window_to) FILTER (WHERE complete AND kind IN ('regular', 'nightly')) AS to, now() FROM reconcile_passes`
  const { to: covered, now } = last!
  // The end of a pass may be in the future if the clock was wrong at that time and has been corrected since.
  const overlapped = covered ? Math.min(covered.getTime(), now.getTime()) - OVERLAP_MS : now.getTime() - FIRST_WINDOW_MS
  const from = kind === 'nightly' ? Math.min(overlapped, now.getTime() - NIGHTLY_WINDOW_MS) : overlapped
  return insertPass(database, kind, identity, { from: new Date(from), to: now })
}

/** @param kind `backfill`: a person chose the window */
export async function insertPass(
  database: Queryable,
  kind: 'regular' | 'nightly' | 'backfill',
  identity: string,
  window: { from: Date; to: Date },
): Promise<PassWindow> {
  const [pass] = await database.$queryRaw<PassWindow[]>`
    INSERT INTO reconcile_passes (identity, kind, window_from, window_to)
    VALUES (${identity}, ${kind}, ${window.from}::timestamptz, ${window.to}::timestamptz)
    ON CONFLICT (identity) DO UPDATE SET identity = excluded.identity
    RETURNING id::text AS "passId", window_from AS from, window_to AS to`
  return pass!
}

/** @param problem what the pass waits for; null: the pass continues */
export async function recordPassProblem(database: Queryable, passId: string, problem: string | null): Promise<void> {
  await database.$executeRaw`
    UPDATE reconcile_passes SET problem = ${problem} WHERE id = ${passId}::bigint AND ended_at IS NULL AND problem IS DISTINCT FROM ${problem}`
}

/** @returns the kind of the pass */
export async function finishReconcilePass(database: Queryable, end: PassEnd): Promise<string | undefined> {
  const { passId, pages, callsSeen, callsNew, recordingsNew, remark, problem } = end
  const [pass] = await database.$queryRaw<{ kind: string }[]>`
    UPDATE reconcile_passes SET ended_at = now(), complete = ${problem === undefined}, pages = ${pages}, calls_seen = ${callsSeen},
      calls_new = ${callsNew}, recordings_new = ${recordingsNew}, remark = ${remark ?? null}, problem = ${problem ?? null}
    WHERE id = ${passId}::bigint RETURNING kind`
  return pass?.kind
}

/**
 * Records an event of our own for each call whose end no event has reported, and for each recording that no event has named. The relay
 * sends these events to Temporal. Known and erased calls and recordings are not changed.
 */
export async function ingestListedCalls(
  database: Queryable,
  source: 'reconcile' | 'backfill',
  calls: EndedCallEvent[],
): Promise<{ callsNew: number; recordingsNew: number }> {
  const known = await knownOf(database, calls)
  let [callsNew, recordingsNew] = [0, 0]
  for (const call of calls) {
    const { callSid, status } = call
    const { state, links } = known.get(callSid) ?? { state: 'none', links: [] }
    const sources = call.sources.filter(({ sourceUrl }) => !links.includes(sourceUrl))
    if (state === 'erased' || (state !== 'none' && sources.length === 0)) continue
    const event: CallEvent = { ...call, route: 'call-end', sources, ended: true }
    const identity = ownIdentity(
      source,
      callSid,
      status,
      sources.map(({ sourceUrl }) => sourceUrl),
    )
    const fields = { CallSid: callSid, ...(status && { Status: status }) }
    const { duplicate } = await recordEvent(database, { source, route: source, identity, event, fields })
    if (duplicate) continue
    if (state === 'none') callsNew += 1
    recordingsNew += sources.length
  }
  return { callsNew, recordingsNew }
}

/** Selects the states of the calls and their known links. The state is `none` if no event has reported the end of the call. */
async function knownOf(database: Queryable, calls: EndedCallEvent[]): Promise<Map<string, { state: string; links: string[] }>> {
  const rows = await database.$queryRaw<{ callSid: CallSid; state: string; links: string[] }[]>`
    SELECT c.call_sid AS "callSid", c.recording_state AS state,
           COALESCE(array_agg(r.source_url) FILTER (WHERE r.source_url IS NOT NULL), '{}') AS links
    FROM calls c LEFT JOIN recordings r USING (call_sid)
    WHERE c.call_sid = ANY (${calls.map(({ callSid }) => callSid)})
    GROUP BY c.call_sid`
  return new Map(rows.map((row) => [row.callSid, row]))
}

/** Selects calls that wait for a link, a random sample if there are more than `limit`. One request to Exotel covers many of them. */
export async function listCallsWithoutLink(database: Queryable, limit: number): Promise<CallSid[]> {
  const rows = await database.$queryRaw<{ callSid: CallSid }[]>`
    SELECT call_sid AS "callSid" FROM calls c
    WHERE recording_state = 'awaiting' AND NOT EXISTS (SELECT FROM recordings r WHERE r.call_sid = c.call_sid)
    ORDER BY random() LIMIT ${limit}`
  return rows.map(({ callSid }) => callSid)
}

/** Counts the calls from a backfill that are not concluded yet. */
export async function countBackfillBacklog(database: Queryable): Promise<number> {
  const [row] = await database.$queryRaw<{ open: number }[]>`
    SELECT count(*)::int AS open FROM calls c
    WHERE recording_state = 'awaiting' AND EXISTS (SELECT FROM webhook_events e WHERE e.call_sid = c.call_sid AND e.source = 'backfill')`
  return row!.open
}
