// What recovery finds and begins anew: failed recordings whose pause is over, and waiting ones that no workflow owns any more.
import type { CallSid } from '../contracts/call-sid.ts'
import { Prisma, type Queryable } from '../platform/database.ts'
import { insertEvent, ownIdentity } from './record-event.ts'

export interface Unfinished {
  callSid: CallSid
  /** What is still to be brought; none: the search for one. */
  sourceUrls: string[]
  /** Names this occasion: beginning it twice is one event. */
  occasion: string
}

/** Events that the relay still holds are enough: it never gives up. */
const NOTHING_PENDING = Prisma.sql`NOT EXISTS (SELECT FROM webhook_events e WHERE e.call_sid = c.call_sid AND e.relay_state = 'pending')`

/** Failed and quarantined recordings that are due, then calls due whose search for one has failed; the longest due first. */
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

/** Calls that wait for a recording and were neither heard of nor looked at for `quietMs`: does a workflow still own them? */
export async function findOrphaned(database: Queryable, { limit, quietMs }: { limit: number; quietMs: number }): Promise<Unfinished[]> {
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

/** An event of our own: the relay starts the call's workflow. Until that has concluded, or died, it is not due again. */
export async function enqueueRecovery(database: Queryable, { callSid, sourceUrls, occasion }: Unfinished, leaseMs: number): Promise<void> {
  const event = { source: 'recovery', route: 'recovery', identity: ownIdentity('recovery', callSid, sourceUrls, occasion) } as const
  await database.$queryRaw`${insertEvent(event, Prisma.sql`${callSid}, ${sourceUrls}::text[], NULL, NULL, 'pending'`)}`
  await deferRecovery(database, callSid, leaseMs)
}

/** A workflow owns the call: it is looked at again after the pause. */
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
