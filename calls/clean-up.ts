import type { Queryable } from '../platform/database.ts'

/**
 * Takes the bodies out of old events: they hold telephone numbers. That there was an event, of which call, when and what came
 * of it stays. Of what the relay has not brought to Temporal, nothing is taken.
 * @returns how many events; fewer than `limit`: no more are left that nobody holds
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
