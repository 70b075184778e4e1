// The relay's three statements: take a batch by lease, give it back, mark what became of each event.
import { Prisma, type Queryable } from '../platform/database.ts'

/** A committed event that a workflow has to hear of, with what is known of its call by now. */
export interface ClaimedEvent {
  id: bigint
  source: string
  callSid: string
  sourceUrls: string[]
  requestId: string | null
  receivedAt: Date
  status: string | null
  endedAt: Date | null
  durationSeconds: number | null
  relayTries: number
  /** PostgreSQL, not Temporal's memory, decides whether there is work left. */
  bringsNothingNew: boolean
}

const LEASE_SECONDS = 30
const MAX_PAUSE_SECONDS = 3600

/**
 * Leases up to `limit` events that are due. Claims of others are passed over, expired ones are taken: whoever died while
 * relaying loses nothing. An event brings nothing new where its call is erased, each recording that it names is stored, or
 * it names none and the call is concluded already (unless the call turned out to be answered since).
 */
export async function claimEvents(database: Queryable, limit: number): Promise<ClaimedEvent[]> {
  return database.$queryRaw<ClaimedEvent[]>`
    WITH due AS (
      SELECT id FROM webhook_events
      WHERE relay_state = 'pending' AND next_relay_at <= now() AND (claimed_until IS NULL OR claimed_until < now())
      ORDER BY next_relay_at, id
      LIMIT ${limit}
      FOR UPDATE SKIP LOCKED
    ), claimed AS (
      UPDATE webhook_events e SET claimed_until = now() + make_interval(secs => ${LEASE_SECONDS})
      FROM due WHERE e.id = due.id
      RETURNING e.id, e.source, e.call_sid, e.source_urls, e.request_id, e.received_at, e.relay_tries
    )
    SELECT e.id, e.source, e.call_sid AS "callSid", e.source_urls AS "sourceUrls", e.request_id AS "requestId",
           e.received_at AS "receivedAt", e.relay_tries AS "relayTries",
           c.status, c.ended_at AS "endedAt", c.duration_seconds AS "durationSeconds",
           COALESCE(CASE
             WHEN c.recording_state = 'erased' THEN true
             WHEN cardinality(e.source_urls) > 0 THEN NOT EXISTS (
               SELECT FROM unnest(e.source_urls) AS named (url)
               LEFT JOIN recordings r ON r.call_sid = e.call_sid AND r.source_url = named.url
               WHERE r.state IS NULL OR r.state NOT IN ('stored', 'erased'))
             WHEN c.recording_state IN ('failed', 'quarantined') THEN e.source = 'exotel'
             WHEN c.recording_state = 'not_recorded' THEN c.recording_concluded_status IS NOT DISTINCT FROM c.status
             ELSE c.recording_state = 'stored'
           END, false) AS "bringsNothingNew"
    FROM claimed e LEFT JOIN calls c USING (call_sid)
    ORDER BY e.id`
}

/** Temporal has them (or need not): done. */
export async function markRelayed(database: Queryable, events: { started: bigint[]; nothingNew: bigint[] }): Promise<void> {
  const ids = [...events.started, ...events.nothingNew]
  if (ids.length === 0) return
  await database.$executeRaw`
    UPDATE webhook_events
    SET relay_state = CASE WHEN id IN (${Prisma.join([...events.nothingNew, 0n])}) THEN 'nothing_new' ELSE 'started' END,
        relayed_at = now(), claimed_until = NULL, relay_error = NULL
    WHERE id IN (${Prisma.join(ids)})`
}

/** Temporal as a whole is not there: the events are as they were. */
export async function releaseEvents(database: Queryable, ids: bigint[]): Promise<void> {
  if (ids.length === 0) return
  await database.$executeRaw`UPDATE webhook_events SET claimed_until = NULL WHERE id IN (${Prisma.join(ids)})`
}

/** Something is wrong with this one event: tried again after a growing pause of up to an hour, never given up. */
export async function setAside(database: Queryable, id: bigint, reason: string): Promise<void> {
  await database.$executeRaw`
    UPDATE webhook_events
    SET relay_tries = relay_tries + 1, relay_error = ${reason.slice(0, 500)}, claimed_until = NULL,
        next_relay_at = now() + make_interval(secs => LEAST(${MAX_PAUSE_SECONDS}, 5 * 2 ^ LEAST(relay_tries, 20)))
    WHERE id = ${id}`
}
