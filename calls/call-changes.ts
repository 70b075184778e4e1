// Which calls have changed: calls with new events or newly concluded recordings. Both tables only grow, so that their primary keys find
// what is new, and no statement that writes calls has to do anything for it.
import type { Queryable } from '../platform/database.ts'

/** The newest rows that a reader has seen. */
export interface ChangePosition {
  event: bigint
  conclusion: bigint
}

export interface Change {
  /** Unique. */
  row: string
  callSid: string
}

/** The position of a reader that wants only what happens from now on. */
export async function currentPosition(database: Queryable): Promise<ChangePosition> {
  const [position] = await database.$queryRaw<[ChangePosition]>`
    SELECT COALESCE((SELECT max(id) FROM webhook_events), 0) AS event, COALESCE((SELECT max(id) FROM recording_attempts), 0) AS conclusion`
  return position
}

/**
 * The changes after a position, at most `limit` of them. Ids are assigned before rows are committed, so a row can appear later than one
 * with a greater id: a reader has to read again what is some seconds old.
 */
export function changesSince(database: Queryable, { event, conclusion }: ChangePosition, limit: number): Promise<Change[]> {
  return database.$queryRaw<Change[]>`
    (SELECT 'event ' || id AS row, call_sid AS "callSid" FROM webhook_events WHERE id > ${event}::bigint AND call_sid IS NOT NULL ORDER BY id LIMIT ${limit}::int)
    UNION ALL
    (SELECT 'conclusion ' || id, call_sid FROM recording_attempts WHERE id > ${conclusion}::bigint ORDER BY id LIMIT ${limit}::int)
    LIMIT ${limit}::int`
}
