import type { Queryable } from '../platform/database.ts'

/**
 * Deletes the bodies of old events, because they contain phone numbers. The event itself stays, with its call, its time and its result.
 * Events that the relay has not sent to Temporal yet are not changed.
 * @returns the number of changed events; fewer than `limit`: no more are left that are not locked
 */
export function eraseOldBodies(database: Queryable, olderThanDays: number, limit: number): Promise<number> {
  return database.$executeRaw`
    UPDATE webhook_events SET raw_body = NULL, fields = NULL
    WHERE id IN (
      SELECT id FROM webhook_events
      WHERE received_at < now() - make_interval(days => ${olderThanDays}::int) AND (raw_body IS NOT NULL OR fields IS NOT NULL)
        AND relay_state <> 'pending'
      ORDER BY received_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
    )`
}
