// What people do to calls, and the record of it. A record is added before the action and completed after it, so that an action whose
// process dies is not unrecorded.
import type { CallSid } from '../contracts/call-sid.ts'
import { Prisma, type Database, type Queryable } from '../platform/database.ts'
import { concludeWithin } from './conclude-recording.ts'
import { insertEvent, ownIdentity } from './record-event.ts'

export type ActionName = 'retry' | 'stop' | 'mark_not_expected' | 'start_recovery' | 'start_reconciliation' | 'start_object_check'

export interface Action {
  action: ActionName
  userId: string
  userEmail: string
  callSid?: CallSid
  recordingId?: string
  reason?: string | undefined
}

/** `repeated`: the action was done before, and nothing was changed. */
export type ActionResult = 'done' | 'repeated'

/** The action makes no sense in the current state. The message says why, and what to do instead. */
export class ActionRefused extends Error {}

/** Does `work` and records it with its result. */
export async function recordAction(database: Queryable, action: Action, work: () => Promise<ActionResult>): Promise<ActionResult> {
  const { action: name, userId, userEmail, callSid, recordingId, reason } = action
  const [row] = await database.$queryRaw<{ id: bigint }[]>`
    INSERT INTO operator_actions (action, user_id, user_email, call_sid, recording_id, reason)
    VALUES (${name}, ${userId}::uuid, ${userEmail}, ${callSid ?? null}, ${recordingId ?? null}::bigint, ${reason ?? null})
    RETURNING id`
  const finish = async (result: ActionResult | 'refused' | 'failed', detail: string | null): Promise<void> => {
    await database.$executeRaw`
      UPDATE operator_actions SET result = ${result}, detail = ${detail}, finished_at = now() WHERE id = ${row!.id}::bigint`
  }
  let result: ActionResult
  try {
    result = await work()
  } catch (error) {
    const isRefused = error instanceof ActionRefused
    await finish(isRefused ? 'refused' : 'failed', isRefused ? error.message : null).catch(() => {}) // the first error is the one to report
    throw error
  }
  await finish(result, null)
  return result
}

const NOT_RETRIED: Record<string, string> = {
  none: 'The call has not ended, or its end is not known: there is nothing to retry yet',
  awaiting: 'The recording is being transferred, or waits for its next attempt. To start over, stop the run first',
  stored: 'The recording is stored',
  not_recorded: 'Exotel has no recording of the call. If an event says otherwise, the search starts by itself',
  erased: 'The call is erased',
}

/**
 * Starts a failed or quarantined recording again at once, as recovery would do later: with an event of our own, for which the relay signals
 * the call's workflow. Without `recordingId`, the failed search for a recording of the call starts again.
 * @returns repeated: the same retry has just been requested, or the relay still has to send it
 * @throws {ActionRefused}
 */
export async function retryRecording(
  database: Database,
  { callSid, recordingId }: { callSid: CallSid; recordingId?: string | undefined },
): Promise<ActionResult> {
  return database.$transaction(async (tx) => {
    const call = await lockCall(tx, callSid)
    const recording = recordingId === undefined ? undefined : call.recordings.find(({ id }) => id === recordingId)
    if (recordingId !== undefined && !recording) throw new ActionRefused('The call has no such recording')
    if (recordingId === undefined && call.recordings.length > 0)
      throw new ActionRefused('Exotel has named recordings of the call: retry one of them')
    const state = call.state === 'erased' ? 'erased' : (recording?.state ?? call.state)
    if (NOT_RETRIED[state] !== undefined) throw new ActionRefused(NOT_RETRIED[state])
    const sourceUrls = recording ? [recording.sourceUrl] : []
    if (await isRequested(tx, callSid, sourceUrls)) return 'repeated'
    const identity = ownIdentity('operator', callSid, sourceUrls, `behind event ${call.newestEvent}`)
    const event = { source: 'operator', route: 'operator', identity } as const
    await tx.$queryRaw`${insertEvent(event, Prisma.sql`${callSid}, ${sourceUrls}::text[], NULL, NULL, 'pending'`)}`
    return 'done'
  })
}

/** A second click within this time is the same request. */
const SAME_REQUEST_SECONDS = 10

async function isRequested(tx: Queryable, callSid: CallSid, sourceUrls: string[]): Promise<boolean> {
  const rows = await tx.$queryRaw<unknown[]>`
    SELECT FROM webhook_events WHERE call_sid = ${callSid} AND source IN ('operator', 'recovery') AND source_urls = ${sourceUrls}::text[]
      AND (relay_state = 'pending' OR received_at > now() - make_interval(secs => ${SAME_REQUEST_SECONDS}::int)) LIMIT 1`
  return rows.length > 0
}

/**
 * Concludes a call whose search for a recording failed as a call without a recording.
 * @returns repeated: it is concluded in this way already
 * @throws {ActionRefused}
 */
export async function markNotExpected(database: Database, callSid: CallSid): Promise<ActionResult> {
  return database.$transaction(async (tx) => {
    const call = await lockCall(tx, callSid)
    if (call.state === 'not_recorded') return 'repeated'
    if (call.recordings.length > 0) throw new ActionRefused('Exotel has named a recording of the call, so there is one')
    if (call.state !== 'failed')
      throw new ActionRefused(`Only a call whose search for a recording failed can be marked; this one is ${call.state}`)
    if (call.isPending) throw new ActionRefused('The search for a recording is about to start again: stop the run first')
    const outcome = { state: 'not_recorded', ...(call.status !== null && { status: call.status }) } as const
    const attempt = ownIdentity('operator', 'not expected', callSid, `behind event ${call.newestEvent}`, call.stateSince)
    await concludeWithin(tx, { callSid, outcome }, { attempt, plan: { pausesMs: [], forMs: 0 } })
    return 'done'
  })
}

/** Whether a run can be stopped. @throws {ActionRefused} */
export async function assertStoppable(database: Queryable, callSid: CallSid): Promise<void> {
  const [call] = await database.$queryRaw<{ waits: boolean }[]>`
    SELECT c.recording_state IN ('awaiting', 'failed', 'quarantined')
      OR EXISTS (SELECT FROM recordings r WHERE r.call_sid = c.call_sid AND r.state IN ('awaiting', 'failed', 'quarantined')) AS waits
    FROM calls c WHERE c.call_sid = ${callSid} AND c.recording_state <> 'erased'`
  if (!call) throw new ActionRefused('The call is not known, or erased')
  if (!call.waits) throw new ActionRefused('No recording of the call is waited for, so no run has to be stopped')
}

interface LockedCall {
  state: string
  stateSince: Date
  status: string | null
  recordings: { id: string; sourceUrl: string; state: string }[]
  /** The relay has not sent all events of the call. */
  isPending: boolean
  newestEvent: string
}

/** Locks the call's row, so that its actions and outcomes are written one after the other. @throws {ActionRefused} if there is no such call */
async function lockCall(tx: Queryable, callSid: CallSid): Promise<LockedCall> {
  await tx.$queryRaw`SELECT FROM calls WHERE call_sid = ${callSid} FOR UPDATE`
  // A separate statement after the lock, so that it sees what another process has just committed.
  const [call] = await tx.$queryRaw<LockedCall[]>`
    SELECT c.recording_state AS state, c.recording_state_since AS "stateSince", c.status,
           COALESCE((SELECT jsonb_agg(jsonb_build_object('id', r.id::text, 'sourceUrl', r.source_url, 'state', r.state) ORDER BY r.id)
                     FROM recordings r WHERE r.call_sid = c.call_sid), '[]') AS recordings,
           EXISTS (SELECT FROM webhook_events e WHERE e.call_sid = c.call_sid AND e.relay_state = 'pending') AS "isPending",
           COALESCE((SELECT max(e.id) FROM webhook_events e WHERE e.call_sid = c.call_sid), 0)::text AS "newestEvent"
    FROM calls c WHERE c.call_sid = ${callSid}`
  if (!call) throw new ActionRefused('The call is not known')
  return call
}
