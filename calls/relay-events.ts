// The relay's SQL statements: claim events for 30 s (a lease), and record the result for each. A claim can change an event only while it
// holds the event. A process whose lease expired cannot change the claim of another process.
import { randomUUID } from 'node:crypto'
import type { CallSid } from '../contracts/call-sid.ts'
import { Prisma, type Queryable } from '../platform/database.ts'

/** The right to change one event. It ends when the lease has expired and another process claims the event. */
export interface Claim {
  id: bigint
  claimId: string
}

/** A committed event that a workflow has to receive, with what is known about its call now. */
export interface ClaimedEvent extends Claim {
  source: string
  callSid: CallSid
  sourceUrls: string[]
  requestId: string | null
  receivedAt: Date
  status: string | null
  endedAt: Date | null
  durationSeconds: number | null
  /** How often Temporal refused it. */
  relayTries: number
  /** How often its request got no response. */
  relayWaits: number
  /** When the event arrived; null if it does not end the call. */
  endReportedAt: Date | null
  /** The search found no recording of the call, and this event ends the call. Call Details have to be requested again. */
  searchAgain: boolean
  /** No workflow has to receive the event. PostgreSQL decides this, because Temporal deletes closed workflows after their retention. */
  bringsNothingNew: boolean
}

/** How many events to claim. `withoutResponse`: events whose last request got no response from Temporal; `fresh`: all others. */
export interface ClaimLimits {
  fresh: number
  withoutResponse: number
}

const LEASE_SECONDS = 30
const MAX_DEFERRAL_SECONDS = 3600
/** An event whose request gets no response is sent again after at most this time. */
const MAX_WAIT_SECONDS = 30
const MAX_REASON_LENGTH = 500
/** Small enough that the statement ends well before its timeout. */
const WAITS_IN_ONE_STATEMENT = 1000

/**
 * Claims events that are due, the one that is due for the longest time first. Events that other processes hold are skipped; expired
 * claims are taken over, so that no event is lost when a process dies. Events whose last request got no response have a limit of their own,
 * so that they never delay others.
 *
 * `bringsNothingNew` is true if the call is erased, if each recording that the event names is stored, or if the event names no recording
 * and the call is already concluded (unless the search found no recording, and the event ends the call or has another status).
 */
export async function claimEvents(database: Queryable, limits: ClaimLimits): Promise<ClaimedEvent[]> {
  return database.$queryRaw<ClaimedEvent[]>`
    WITH fresh AS (
      ${selectDue(Prisma.sql`relay_waits = 0`, limits.fresh)}
    ), without_response AS (
      ${selectDue(Prisma.sql`relay_waits > 0`, limits.withoutResponse)}
    ), due AS (
      SELECT id FROM fresh UNION ALL SELECT id FROM without_response
    ), claimed AS (
      UPDATE webhook_events e SET claimed_until = now() + make_interval(secs => ${LEASE_SECONDS}), claimed_by = ${randomUUID()}::uuid
      FROM due WHERE e.id = due.id
      RETURNING e.id, e.claimed_by, e.source, e.route, e.call_sid, e.source_urls, e.request_id, e.received_at, e.relay_tries, e.relay_waits
    )
    SELECT e.id, e.claimed_by AS "claimId", e.source, e.call_sid AS "callSid", e.source_urls AS "sourceUrls", e.request_id AS "requestId",
           e.received_at AS "receivedAt", e.relay_tries AS "relayTries", e.relay_waits AS "relayWaits",
           c.status, c.ended_at AS "endedAt", c.duration_seconds AS "durationSeconds",
           CASE WHEN e.route = 'call-end' THEN e.received_at END AS "endReportedAt",
           COALESCE(e.route = 'call-end' AND (c.recording_state = 'not_recorded' OR c.recording_state = 'failed' AND NOT has_recordings), false) AS "searchAgain",
           COALESCE(CASE
             WHEN c.recording_state = 'erased' THEN true
             WHEN cardinality(e.source_urls) > 0 THEN NOT EXISTS (
               SELECT FROM unnest(e.source_urls) AS named (url)
               LEFT JOIN recordings r ON r.call_sid = e.call_sid AND r.source_url = named.url
               WHERE r.state IS NULL OR r.state NOT IN ('stored', 'erased'))
             WHEN c.recording_state IN ('failed', 'quarantined') THEN e.source = 'exotel' AND (e.route <> 'call-end' OR has_recordings)
             WHEN c.recording_state = 'not_recorded' THEN e.route <> 'call-end' AND c.recording_concluded_status IS NOT DISTINCT FROM c.status
             ELSE c.recording_state = 'stored'
           END, false) AS "bringsNothingNew"
    FROM claimed e LEFT JOIN calls c USING (call_sid)
      CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM recordings r WHERE r.call_sid = e.call_sid) AS has_recordings) known
    ORDER BY e.id`
}

/**
 * Times of rows are rounded to milliseconds, so `now()` is rounded too: otherwise an event would not be due in the instant of its arrival.
 * @param lane decides which of the two partial indexes is used
 */
function selectDue(lane: Prisma.Sql, limit: number): Prisma.Sql {
  return Prisma.sql`
      SELECT id FROM webhook_events
      WHERE relay_state = 'pending' AND ${lane} AND next_relay_at <= now()::timestamptz(3) AND (claimed_until IS NULL OR claimed_until < now())
      ORDER BY next_relay_at, id
      LIMIT ${limit}
      FOR UPDATE SKIP LOCKED`
}

/** Marks events that Temporal has received, or does not have to receive. They are not sent again. */
export async function markRelayed(database: Queryable, events: { started: Claim[]; nothingNew: Claim[] }): Promise<void> {
  const mark = (claims: Claim[], state: 'started' | 'nothing_new'): Promise<void> =>
    updateClaimed(database, claims, Prisma.sql`relay_state = ${state}, relayed_at = now(), relay_error = NULL`)
  await mark(events.started, 'started')
  await mark(events.nothingNew, 'nothing_new')
}

/**
 * Releases events whose delivery was given up through no fault of their own (outage, shutdown). They are due now, after those already due.
 * No attempt is counted.
 */
export async function releaseEvents(database: Queryable, claims: Claim[]): Promise<void> {
  await updateClaimed(database, claims, Prisma.sql`next_relay_at = now()`)
}

/** Records that requests for these events got no response, although Temporal as a whole responds. They are due again in 1 s to 30 s. */
export async function recordNoResponse(database: Queryable, claims: (Claim & { reason: string })[]): Promise<void> {
  await updateClaimed(
    database,
    claims,
    Prisma.sql`relay_waits = relay_waits + 1, relay_error = own.reason,
               next_relay_at = now() + make_interval(secs => LEAST(${MAX_WAIT_SECONDS}, 2 ^ LEAST(relay_waits, 10)))`,
  )
}

/** Defers events that Temporal refused. They are sent again after a growing pause of up to an hour, without limit. */
export async function deferEvents(database: Queryable, claims: (Claim & { reason: string })[]): Promise<void> {
  await updateClaimed(
    database,
    claims,
    Prisma.sql`relay_tries = relay_tries + 1, relay_waits = 0, relay_error = own.reason,
               next_relay_at = now() + make_interval(secs => LEAST(${MAX_DEFERRAL_SECONDS}, 5 * 2 ^ LEAST(relay_tries, 20)))`,
  )
}

/** Makes events that waited for a response due now, because Temporal as a whole responds again. Their next pause is short. */
export async function clearRelayWaits(database: Queryable): Promise<void> {
  let ended: number
  do {
    ended = await database.$executeRaw`
      UPDATE webhook_events SET next_relay_at = now(), relay_waits = 1
      WHERE id IN (
        SELECT id FROM webhook_events
        WHERE relay_state = 'pending' AND relay_waits > 0 AND next_relay_at > now()
        LIMIT ${WAITS_IN_ONE_STATEMENT} FOR UPDATE SKIP LOCKED
      )`
  } while (ended === WAITS_IN_ONE_STATEMENT)
}

/** @param assignments to columns of `webhook_events`; `own.reason` is the claim's reason */
async function updateClaimed(database: Queryable, claims: (Claim & { reason?: string })[], assignments: Prisma.Sql): Promise<void> {
  if (claims.length === 0) return
  const ids = claims.map(({ id }) => id)
  const claimIds = claims.map(({ claimId }) => claimId)
  const reasons = claims.map(({ reason }) => reason?.slice(0, MAX_REASON_LENGTH) ?? null)
  await database.$executeRaw`
    UPDATE webhook_events e SET ${assignments}, claimed_until = NULL, claimed_by = NULL
    FROM unnest(${ids}::bigint[], ${claimIds}::uuid[], ${reasons}::text[]) AS own (id, claim_id, reason)
    WHERE e.id = own.id AND e.claimed_by = own.claim_id AND e.relay_state = 'pending'`
}
