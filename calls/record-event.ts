// Records a delivery before it is acknowledged. One SQL statement, and so one transaction, writes the event, its call and the recordings
// that it names.
import { createHash } from 'node:crypto'
import { isNotAhead } from '../contracts/plausible-end.ts'
import type { CallEvent } from '../exotel/call-event.ts'
import type { Fields } from '../exotel/decode-fields.ts'
import { Prisma, type Queryable } from '../platform/database.ts'
import { callParties } from './call-parties.ts'

interface Delivery {
  source: 'exotel' | 'recovery' | 'reconcile' | 'backfill' | 'operator'
  route: string
  /** What makes a repeated delivery the same event. */
  identity: string
  /** These are absent if the event did not come with a request. */
  rawBody?: Buffer
  contentType?: string | undefined
  requestId?: string
}

export interface ReadDelivery extends Delivery {
  event: CallEvent
  fields: Fields
}

/**
 * Records the event and inserts or updates its call. An absent value does not replace a known one. Of two statuses the more advanced one
 * stays, of two starts the earlier, of two ends the later, of two durations the longer, and of two texts the one that comes first in byte
 * order (`+91…` before `0…`). Therefore any order and number of deliveries leaves the same row. The row of an erased call is not changed.
 * @returns duplicate: the same delivery was recorded before, and nothing was changed; pending: the relay has to send the event to Temporal,
 *   also if a repetition follows because the process died before it woke the relay
 */
export async function recordEvent(database: Queryable, delivery: ReadDelivery): Promise<{ duplicate: boolean; pending: boolean }> {
  const { event, fields } = delivery
  const starts = event.ended || event.sources.length > 0
  const sourceUrls = event.sources.map(({ sourceUrl }) => sourceUrl)
  const { agent, exophone } = callParties(event)
  const fetchUrls = event.sources.map(({ fetchUrl }) => fetchUrl ?? null)
  const rows = await database.$queryRaw<unknown[]>`
    WITH event AS (
      ${insertEvent(delivery, Prisma.sql`${event.callSid}, ${sourceUrls}::text[], ${JSON.stringify(fields)}::jsonb, NULL, ${starts ? 'pending' : 'none'}`)}
    ), call AS (
      INSERT INTO calls AS c (call_sid, account_sid, status, direction, from_number, to_number, started_at, ended_at,
                              duration_seconds, custom_field, agent_number, exophone, search_filled, recording_state)
      SELECT ${event.callSid}, ${event.accountSid ?? null}, ${event.status ?? null}, ${event.direction ?? null}, ${event.from ?? null}, ${event.to ?? null},
             ${event.startedAt ?? null}::timestamptz, ${plausibleEnd(event.endedAt)}::timestamptz, ${event.durationSeconds ?? null}::int, ${event.customField ?? null},
             phone_digits(${agent}), phone_digits(${exophone}), true, ${starts ? 'awaiting' : 'none'}
      FROM event
      ON CONFLICT (call_sid) DO UPDATE SET
        account_sid = LEAST(c.account_sid COLLATE "C", excluded.account_sid),
        status = CASE WHEN call_status_rank(excluded.status) > call_status_rank(c.status) THEN excluded.status ELSE c.status END,
        direction = LEAST(c.direction COLLATE "C", excluded.direction),
        from_number = LEAST(c.from_number COLLATE "C", excluded.from_number),
        to_number = LEAST(c.to_number COLLATE "C", excluded.to_number),
        started_at = LEAST(c.started_at, excluded.started_at),
        ended_at = GREATEST(c.ended_at, excluded.ended_at),
        duration_seconds = GREATEST(c.duration_seconds, excluded.duration_seconds),
        custom_field = LEAST(c.custom_field COLLATE "C", excluded.custom_field),
        agent_number = LEAST(c.agent_number COLLATE "C", excluded.agent_number),
        exophone = LEAST(c.exophone COLLATE "C", excluded.exophone),
        recording_state = CASE WHEN c.recording_state = 'none' THEN excluded.recording_state ELSE c.recording_state END,
        recording_state_since = CASE WHEN c.recording_state = 'none' THEN now() ELSE c.recording_state_since END,
        updated_at = now()
      WHERE c.recording_state <> 'erased'
      RETURNING call_sid
    ), named AS (
      INSERT INTO recordings AS r (call_sid, source_url, fetch_url)
      SELECT call.call_sid, source.url, source.fetch_url
      FROM call, unnest(${sourceUrls}::text[], ${fetchUrls}::text[]) AS source (url, fetch_url)
      ON CONFLICT (call_sid, source_url) DO UPDATE SET fetch_url = COALESCE(excluded.fetch_url, r.fetch_url), updated_at = now()
      WHERE r.state <> 'erased'
    )
    SELECT id FROM event`
  return { duplicate: rows.length === 0, pending: starts }
}

function plausibleEnd(endedAt: Date | undefined): Date | null {
  return endedAt !== undefined && isNotAhead(endedAt.getTime(), Date.now()) ? endedAt : null
}

/** Records an authenticated delivery that cannot be read or has no valid CallSid. Only an event is inserted. */
export async function recordUnreadable(database: Queryable, delivery: Delivery, problem: string): Promise<void> {
  await database.$queryRaw`${insertEvent(delivery, Prisma.sql`NULL, '{}'::text[], NULL, ${problem}, 'none'`)}`
}

/** @returns the identity of an event of our own, by which a repeated event is recognized */
export function ownIdentity(...parts: unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** @param rest values for call_sid, source_urls, fields, problem and relay_state */
export function insertEvent(delivery: Delivery, rest: Prisma.Sql): Prisma.Sql {
  const { source, route, identity, rawBody, contentType, requestId } = delivery
  return Prisma.sql`
    INSERT INTO webhook_events (source, route, identity, raw_body, content_type, request_id, call_sid, source_urls, fields, problem, relay_state)
    VALUES (${source}, ${route}, ${identity}, ${rawBody ?? null}, ${contentType ?? null}, ${requestId ?? null}, ${rest})
    ON CONFLICT (identity) DO NOTHING
    RETURNING id`
}
