// Finds and enqueues what recovery starts again: failed recordings whose pause has ended, and calls that wait without an open run.
import type { CallSid } from '../contracts/call-sid.ts'
import { Prisma, type Queryable } from '../platform/database.ts'
import { insertEvent, ownIdentity } from './record-event.ts'

export interface Unfinished {
  callSid: CallSid
  /** The recordings to transfer. Empty: the search for a recording has to be repeated. */
  sourceUrls: string[]
  /** Identifies this occasion, so that enqueueing it twice records one event. */
  occasion: string
}

/** A call with a pending event needs no recovery, because the relay sends that event without limit. */
const NOTHING_PENDING = Prisma.sql`NOT EXISTS (SELECT FROM webhook_events e WHERE e.call_sid = c.call_sid AND e.relay_state = 'pending')`

/** Selects failed and quarantined recordings that are due, then calls whose search failed and is due; those due for longest first. */
export async function findDue(database: Queryable, limit: number): Promise<Unfinished[]> {
  return database.$queryRaw<Unfinished[]>`
    SELECT call_sid AS "callSid", "sourceUrls", 'due ' || due AS occasion FROM (
      SELECT r.call_sid, array_agg(r.source_url ORDER BY r.id) AS "sourceUrls", max(r.next_try_at) AS due
      FROM recordings r JOIN calls c USING (call_sid)
      WHERE r.state IN ('failed', 'quarantined') AND r.next_try_at <= now() AND c.recording_state <> 'erased' AND ${NOTHING_PENDING}
      GROUP BY r.call_sid
      UNION ALL
      SELECT c.call_sid, '{}'::text[], c.recording_next_try_at
      FROM calls c
      WHERE c.recording_state = 'failed' AND c.recording_next_try_at <= now()
        AND NOT EXISTS (SELECT FROM recordings r WHERE r.call_sid = c.call_sid) AND ${NOTHING_PENDING}
    ) all_due
    ORDER BY cardinality("sourceUrls") = 0, due LIMIT ${limit}`
}

/**
 * Selects calls that wait for a recording, and whose rows were neither updated nor checked for `quietMs`. The caller has to check whether
 * they have an open run.
 */
export async function findWithoutOpenRun(
  database: Queryable,
  { limit, quietMs }: { limit: number; quietMs: number },
): Promise<Unfinished[]> {
  return database.$queryRaw<Unfinished[]>`
    WITH waiting AS (
      SELECT call_sid FROM calls WHERE recording_state = 'awaiting'
      UNION SELECT call_sid FROM recordings WHERE state = 'awaiting'
    )
    SELECT c.call_sid AS "callSid",
           COALESCE((SELECT array_agg(r.source_url ORDER BY r.id) FROM recordings r WHERE r.call_sid = c.call_sid AND r.state = 'awaiting'),
                    '{}') AS "sourceUrls",
           'behind event ' || COALESCE((SELECT max(e.id) FROM webhook_events e WHERE e.call_sid = c.call_sid), 0) AS occasion
    FROM waiting JOIN calls c USING (call_sid)
    WHERE c.recording_state <> 'erased'
      AND GREATEST(c.updated_at, c.owner_checked_at) < now() - make_interval(secs => ${quietMs / 1000})
      AND ${NOTHING_PENDING}
    ORDER BY c.owner_checked_at NULLS FIRST, c.call_sid LIMIT ${limit}`
}

/**
 * Records an event of our own, for which the relay starts the call's workflow.
 * @param leaseMs the call is not due again before this time has passed
 */
export async function enqueueRecovery(database: Queryable, { callSid, sourceUrls, occasion }: Unfinished, leaseMs: number): Promise<void> {
  const event = { source: 'recovery', route: 'recovery', identity: ownIdentity('recovery', callSid, sourceUrls, occasion) } as const
  await database.$queryRaw`${insertEvent(event, Prisma.sql`${callSid}, ${sourceUrls}::text[], NULL, NULL, 'pending'`)}`
  await deferRecovery(database, callSid, leaseMs)
}

/** Makes the call due again after the pause. */
export async function deferRecovery(database: Queryable, callSid: CallSid, pauseMs: number): Promise<void> {
  const seconds = pauseMs / 1000
  await database.$executeRaw`
    WITH due AS (
      UPDATE recordings SET next_try_at = now() + make_interval(secs => ${seconds})
      WHERE call_sid = ${callSid} AND state IN ('failed', 'quarantined') AND next_try_at <= now()
    )
    UPDATE calls SET
      owner_checked_at = now(),
      recording_next_try_at = CASE WHEN recording_state IN ('failed', 'quarantined') AND recording_next_try_at <= now()
                                   THEN now() + make_interval(secs => ${seconds}) ELSE recording_next_try_at END
    WHERE call_sid = ${callSid}`
}
