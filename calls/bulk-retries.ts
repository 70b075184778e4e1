// Retries of all failed calls that match filters: one row each, with its progress. A workflow handles the calls in portions.
import { randomUUID } from 'node:crypto'
import { Prisma, type Database, type Queryable } from '../platform/database.ts'
import type { CallSid } from '../contracts/call-sid.ts'
import { countCalls, listCalls, type CallFilters } from './list-calls.ts'
import { ActionRefused, retryRecording } from './operator-actions.ts'

export interface BulkRetry {
  id: string
  reason: string
  userEmail: string
  state: 'running' | 'done' | 'cancelled' | 'failed'
  matches: number
  /** Calls of which a recording, or the search for one, was started again. */
  retried: number
  /** Calls that another person or recovery had started again meanwhile. */
  skipped: number
  createdAt: Date
  updatedAt: Date
  finishedAt: Date | null
}

/** More matches are not counted. */
export const MOST_COUNTED = 100_000
const PORTION = 25
const LISTED = 50

const COLUMNS = Prisma.sql`
  id::text, reason, user_email AS "userEmail", state, matches, retried, skipped, created_at AS "createdAt", updated_at AS "updatedAt",
  finished_at AS "finishedAt"`

/** How many calls would be retried; at most {@link MOST_COUNTED}. */
export function countRetryable(database: Queryable, filters: CallFilters): Promise<number> {
  return countCalls(database, { ...filters, retryable: true }, MOST_COUNTED)
}

/** @returns undefined if another one is running */
export async function insertBulkRetry(
  database: Queryable,
  { filters, ...row }: { filters: CallFilters; reason: string; userId: string; userEmail: string; matches: number },
): Promise<BulkRetry | undefined> {
  const [inserted] = await database.$queryRaw<BulkRetry[]>`
    INSERT INTO bulk_retries (id, filters, reason, user_id, user_email, matches)
    VALUES (${randomUUID()}::uuid, ${JSON.stringify(filters)}::jsonb, ${row.reason}, ${row.userId}::uuid, ${row.userEmail}, ${row.matches}::int)
    ON CONFLICT (state) WHERE state = 'running' DO NOTHING
    RETURNING ${COLUMNS}`
  return inserted
}

/** The newest ones. */
export function listBulkRetries(database: Queryable): Promise<BulkRetry[]> {
  return database.$queryRaw<BulkRetry[]>`SELECT ${COLUMNS} FROM bulk_retries ORDER BY created_at DESC LIMIT ${LISTED}::int`
}

/** Does nothing to one that has ended. @returns undefined if there is no such row */
export async function endBulkRetry(
  database: Queryable,
  id: string,
  state: 'done' | 'cancelled' | 'failed',
): Promise<BulkRetry | undefined> {
  await database.$executeRaw`
    UPDATE bulk_retries SET state = ${state}, finished_at = now(), updated_at = now() WHERE id = ${id}::uuid AND state = 'running'`
  const [row] = await database.$queryRaw<BulkRetry[]>`SELECT ${COLUMNS} FROM bulk_retries WHERE id = ${id}::uuid`
  return row
}

/** As they are stored: times are texts. */
type StoredFilters = Omit<CallFilters, 'from' | 'to'> & { from?: string; to?: string }

interface Portion {
  filters: StoredFilters
  afterTime: Date | null
  afterCallSid: string | null
}

/**
 * Retries the next calls and records how far it came. If the process dies in between, the calls are handled again, and those that were
 * started before are skipped.
 * @returns whether calls may be left
 */
export async function retryNextCalls(database: Database, id: string, signal: AbortSignal): Promise<boolean> {
  const [portion] = await database.$queryRaw<Portion[]>`
    SELECT filters, after_time AS "afterTime", after_call_sid AS "afterCallSid" FROM bulk_retries WHERE id = ${id}::uuid AND state = 'running'`
  if (!portion) return false
  const { afterTime, afterCallSid } = portion
  const after = afterTime && afterCallSid !== null ? { time: afterTime, callSid: afterCallSid } : undefined
  const { from, to, ...others } = portion.filters
  const filters = { ...others, ...(from && { from: new Date(from) }), ...(to && { to: new Date(to) }), retryable: true }
  const calls = await listCalls(database, filters, { after, limit: PORTION })
  let retried = 0
  for (const { callSid } of calls) {
    signal.throwIfAborted()
    if (await retryCall(database, callSid as CallSid)) retried += 1
  }
  const last = calls.at(-1)
  if (!last) return false
  await database.$executeRaw`
    UPDATE bulk_retries SET after_time = ${last.time}::timestamptz, after_call_sid = ${last.callSid}, updated_at = now(),
      retried = retried + ${retried}::int, skipped = skipped + ${calls.length - retried}::int
    WHERE id = ${id}::uuid AND state = 'running'`
  return calls.length === PORTION
}

/** Starts the failed recordings of a call again, or the search for one. @returns false if nothing was left to start */
async function retryCall(database: Database, callSid: CallSid): Promise<boolean> {
  const recordings = await database.$queryRaw<{ id: string }[]>`
    SELECT id::text AS id FROM recordings WHERE call_sid = ${callSid} AND state IN ('failed', 'quarantined') ORDER BY id`
  let isStarted = false
  for (const recordingId of recordings.length > 0 ? recordings.map(({ id }) => id) : [undefined])
    if (await isRetried(database, { callSid, recordingId })) isStarted = true
  return isStarted
}

async function isRetried(database: Database, recording: Parameters<typeof retryRecording>[1]): Promise<boolean> {
  try {
    return (await retryRecording(database, recording)) === 'done'
  } catch (error) {
    if (error instanceof ActionRefused) return false
    throw error
  }
}
