// Records deliveries before they are acknowledged. One SQL statement, and so one transaction, writes the events, their calls and the
// recordings that they name.
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

export interface Recorded {
  /** The same delivery was recorded before, and nothing was changed. */
  duplicate: boolean
  /** The relay has to send the event to Temporal, also if a repetition follows because the process died before it woke the relay. */
  pending: boolean
}

/** Records one event: see `recordEvents`. */
export async function recordEvent(database: Queryable, delivery: ReadDelivery): Promise<Recorded> {
  const [recorded] = await recordEvents(database, [delivery])
  return recorded!
}

/**
 * Records events of different calls and inserts or updates these calls, all of them or none. An absent value does not replace a known one.
 * Of two statuses the more advanced one stays, of two starts the earlier, of two ends the later, of two durations the longer, and of two
 * texts the one that comes first in byte order (`+91…` before `0…`). Therefore any order and number of deliveries leaves the same row. The
 * row of an erased call is not changed.
 *
 * Rows are locked in the order of identities, then of CallSids, so that concurrent statements wait for each other but do not deadlock.
 * @param deliveries no two of the same call
 * @returns for each delivery, in their order
 */
export async function recordEvents(database: Queryable, deliveries: ReadDelivery[]): Promise<Recorded[]> {
  const rows = deliveries.map(rowOf)
  const column = (name: keyof Row, type: string): Prisma.Sql => Prisma.sql`${rows.map((row) => row[name])}::${Prisma.raw(type)}[]`
  const inserted = await database.$queryRaw<{ identity: string }[]>`
    WITH delivery AS (
      SELECT d.*, CASE WHEN d.starts THEN 'pending' ELSE 'none' END AS relay_state, CASE WHEN d.starts THEN 'awaiting' ELSE 'none' END AS recording_state
      FROM unnest(
        ${column('source', 'text')}, ${column('route', 'text')}, ${column('identity', 'text')}, ${column('rawBody', 'bytea')},
        ${column('contentType', 'text')}, ${column('requestId', 'text')}, ${column('callSid', 'text')}, ${column('sources', 'jsonb')},
        ${column('fields', 'jsonb')}, ${column('starts', 'boolean')}, ${column('accountSid', 'text')}, ${column('status', 'text')},
        ${column('direction', 'text')}, ${column('from', 'text')}, ${column('to', 'text')}, ${column('startedAt', 'timestamptz')},
        ${column('endedAt', 'timestamptz')}, ${column('durationSeconds', 'int')}, ${column('customField', 'text')},
        ${column('agent', 'text')}, ${column('exophone', 'text')}
      ) AS d (source, route, identity, raw_body, content_type, request_id, call_sid, sources, fields, starts, account_sid, status, direction,
              from_number, to_number, started_at, ended_at, duration_seconds, custom_field, agent, exophone)
    ), event AS (
      INSERT INTO webhook_events (source, route, identity, raw_body, content_type, request_id, call_sid, source_urls, fields, relay_state)
      SELECT source, route, identity, raw_body, content_type, request_id, call_sid,
             ARRAY(SELECT named ->> 0 FROM jsonb_array_elements(sources) WITH ORDINALITY AS s (named, position) ORDER BY position), fields, relay_state
      FROM delivery
      ORDER BY identity
      ON CONFLICT (identity) DO NOTHING
      RETURNING identity
    ), call AS (
      INSERT INTO calls AS c (call_sid, account_sid, status, direction, from_number, to_number, started_at, ended_at,
                              duration_seconds, custom_field, agent_number, exophone, search_filled, recording_state)
      SELECT call_sid, account_sid, status, direction, from_number, to_number, started_at, ended_at, duration_seconds, custom_field,
             phone_digits(agent), phone_digits(exophone), true, recording_state
      FROM delivery JOIN event USING (identity)
      ORDER BY call_sid
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
    ), recording AS (
      INSERT INTO recordings AS r (call_sid, source_url, fetch_url)
      SELECT call_sid, named ->> 0, named ->> 1
      FROM call JOIN delivery USING (call_sid), jsonb_array_elements(sources) AS s (named)
      ON CONFLICT (call_sid, source_url) DO UPDATE SET fetch_url = COALESCE(excluded.fetch_url, r.fetch_url), updated_at = now()
      WHERE r.state <> 'erased'
    )
    SELECT identity FROM event`
  const isNew = new Set(inserted.map(({ identity }) => identity))
  return rows.map(({ identity, starts }) => ({ duplicate: !isNew.has(identity), pending: starts }))
}

type Row = ReturnType<typeof rowOf>

function rowOf({ source, route, identity, rawBody, contentType, requestId, event, fields }: ReadDelivery) {
  const { callSid, sources, accountSid, status, direction, from, to, startedAt, endedAt, durationSeconds, customField } = event
  return {
    source,
    route,
    identity,
    rawBody,
    contentType,
    requestId,
    callSid,
    sources: JSON.stringify(sources.map(({ sourceUrl, fetchUrl }) => [sourceUrl, fetchUrl ?? null])),
    fields: JSON.stringify(fields),
    starts: event.ended || sources.length > 0,
    accountSid,
    status,
    direction,
    from,
    to,
    startedAt,
    durationSeconds,
    customField,
    ...callParties(event),
    endedAt: plausibleEnd(endedAt),
  }
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
