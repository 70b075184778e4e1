// What a backfill counts for: its own backlog, and not as reconciliation.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import {
  countBackfillBacklog,
  finishReconcilePass,
  ingestListedCalls,
  insertPass,
  startReconcilePass,
  type EndedCallEvent,
} from '../../calls/reconcile.ts'
import type { Database } from '../../platform/database.ts'
import { RECOVERY } from '../support/activities.ts'
import { newCallSid, openDatabase } from '../support/servers.ts'

const HOUR = 3600_000
const DAY = 24 * HOUR

let database: Database
let close: () => Promise<void>
beforeAll(async () => {
  ;({ database, close } = await openDatabase())
})
afterAll(() => close?.())

test('When a backfill is complete, then the next regular pass still starts at the end of the last regular one', async () => {
  const now = Date.now()
  const completePass = async (kind: 'regular' | 'backfill', from: number, to: number) => {
    const { passId } = await insertPass(database, kind, `${kind} of the test`, { from: new Date(now - from), to: new Date(now - to) })
    await finishReconcilePass(database, { passId, pages: 1, callsSeen: 0, callsNew: 0, recordingsNew: 0 })
  }
  await completePass('regular', 4 * DAY, 3 * DAY)
  await completePass('backfill', 90 * DAY, HOUR)
  const next = await startReconcilePass(database, 'regular', 'the next run')
  expect(next.from).toEqual(new Date(now - 3 * DAY - 5 * HOUR))
})

test('When calls wait for their recordings, then only those of a backfill count as its backlog', async () => {
  const calls = Array.from({ length: 4 }, newCallSid) as [CallSid, CallSid, CallSid, CallSid]
  const [waiting, alsoWaiting, concluded, reconciled] = calls
  const ended = (callSid: CallSid): EndedCallEvent => ({ callSid, status: 'completed', sources: [] })
  await ingestListedCalls(database, 'backfill', [waiting, alsoWaiting, concluded].map(ended))
  await ingestListedCalls(database, 'reconcile', [reconciled].map(ended))
  const outcome = { state: 'not_recorded' } as const
  await concludeRecording(database, { callSid: concluded, outcome }, { attempt: 'the search', plan: RECOVERY })
  expect(await countBackfillBacklog(database)).toBe(2)
})
