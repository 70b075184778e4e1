// Fills the columns for the search of calls that were recorded before these columns existed, or by an earlier version of the code.
import type { Queryable } from '../platform/database.ts'

/**
 * Fills at most `limit` calls, the newest first. Assigning a number to itself runs the trigger that derives its digits and the time. The
 * agent and the ExoPhone come from the stored events, by the rules of `callParties`. Runs of several processes skip each other's rows.
 * @returns the number of filled calls; fewer than `limit`: no more are left that are not locked
 */
export function fillCallSearch(database: Queryable, limit: number): Promise<number> {
  return database.$executeRaw`
    WITH batch AS (
      SELECT call_sid FROM calls WHERE NOT search_filled ORDER BY created_at DESC LIMIT ${limit}::int FOR UPDATE SKIP LOCKED
    ), texts AS (
      SELECT e.call_sid, e.fields ->> 'Direction' AS direction,
             COALESCE(NULLIF(e.fields ->> 'From', ''), e.fields ->> 'CallFrom') AS from_number,
             COALESCE(NULLIF(e.fields ->> 'To', ''), e.fields ->> 'CallTo') AS to_number,
             NULLIF(e.fields ->> 'PhoneNumberSid', '') AS phone_number_sid, e.fields ->> 'DialWhomNumber' AS dialled_number
      FROM webhook_events e
      WHERE e.call_sid = ANY (ARRAY(SELECT call_sid FROM batch)) AND jsonb_typeof(e.fields) = 'object'
    ), named AS (
      SELECT call_sid,
             min(phone_digits(CASE WHEN direction ILIKE 'out%' THEN from_number WHEN direction ILIKE 'in%' THEN dialled_number END) COLLATE "C") AS agent,
             min(phone_digits(COALESCE(phone_number_sid, CASE WHEN direction ILIKE 'in%' THEN to_number END)) COLLATE "C") AS exophone
      FROM texts GROUP BY call_sid
    )
    UPDATE calls c SET
      from_number = c.from_number,
      agent_number = LEAST(c.agent_number COLLATE "C", named.agent),
      exophone = LEAST(c.exophone COLLATE "C", named.exophone),
      search_filled = true
    FROM batch LEFT JOIN named USING (call_sid)
    WHERE c.call_sid = batch.call_sid`
}
