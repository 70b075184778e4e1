// Windows of the passes through Exotel's list of calls, and what the listed calls add to the rows.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import {
  finishReconcilePass,
  ingestListedCalls,
  insertPass,
  listCallsWithoutLink,
  recordPassProblem,
  startReconcilePass,
} from '../../calls/reconcile.ts'
import type { Database } from '../../platform/database.ts'
import { recordWebhook } from '../support/record-webhook.ts'
import { newCallSid, openDatabase } from '../support/servers.ts'

const HOUR = 3600_000
const DAY = 24 * HOUR
const LINK = 'https://recordings.exotel.com/a/1.mp3'
const OTHER = 'https://recordings.exotel.com/a/2.mp3'

let database: Database
let owner: Database
let close: () => Promise<void>
beforeAll(async () => {
  ;({ database, owner, close } = await openDatabase())
})
afterAll(() => close?.())

const hoursOf = ({ from, to }: { from: Date; to: Date }) => (to.getTime() - from.getTime()) / HOUR
/** Inserts a complete regular pass whose window ended this long ago. */
async function completePass(endedMs: number): Promise<{ to: Date }> {
  const [from, to] = [new Date(Date.now() - endedMs - DAY), new Date(Date.now() - endedMs)]
  const { passId } = await insertPass(database, 'regular', `ended ${endedMs} ms ago`, { from, to })
  await finishReconcilePass(database, { passId, pages: 1, callsSeen: 0, callsNew: 0, recordingsNew: 0 })
  return { to }
}

test('When no pass was ever complete, then the first one reads the calls of three days', async () => {
  await owner.$executeRaw`TRUNCATE reconcile_passes`
  expect(hoursOf(await startReconcilePass(database, 'regular', 'the first one'))).toBe(72)
})

test('When no pass was complete for ten days, then the nightly one reads all calls since then, and otherwise those of three days', async () => {
  await owner.$executeRaw`TRUNCATE reconcile_passes`
  const { to } = await completePass(10 * DAY)
  const afterOutage = await startReconcilePass(database, 'nightly', 'after the outage')
  expect(afterOutage.from).toEqual(new Date(to.getTime() - 5 * HOUR))
  await completePass(HOUR)
  expect(hoursOf(await startReconcilePass(database, 'nightly', 'a usual night'))).toBe(72)
})

test('When a pass has ended, then its row has its counts, and a late problem does not change it', async () => {
  const { passId } = await startReconcilePass(database, 'regular', 'with counts')
  await finishReconcilePass(database, { passId, pages: 2, callsSeen: 150, callsNew: 3, recordingsNew: 4, remark: 'odd entries' })
  await recordPassProblem(database, passId, 'Exotel responded 503')
  expect(await database.reconcilePass.findUniqueOrThrow({ where: { id: BigInt(passId) } })).toMatchObject({
    complete: true,
    pages: 2,
    callsSeen: 150,
    callsNew: 3,
    recordingsNew: 4,
    remark: 'odd entries',
    problem: null,
  })
})

test('When a call is listed without a link, and later with one, then an event with the link is recorded once', async () => {
  const call = { callSid: newCallSid(), status: 'completed' as const }
  const ingest = (sourceUrls: string[]) =>
    ingestListedCalls(database, 'reconcile', [{ ...call, sources: sourceUrls.map((sourceUrl) => ({ sourceUrl })) }])
  expect(await ingest([])).toEqual({ callsNew: 1, recordingsNew: 0 })
  expect(await ingest([LINK])).toEqual({ callsNew: 0, recordingsNew: 1 })
  expect(await ingest([LINK])).toEqual({ callsNew: 0, recordingsNew: 0 })
  const events = await database.webhookEvent.findMany({ where: { callSid: call.callSid }, orderBy: { id: 'asc' } })
  expect(events).toMatchObject([
    { sourceUrls: [], relayState: 'pending' },
    { sourceUrls: [LINK], relayState: 'pending' },
  ])
})

test('When a webhook has named one of two listed recordings, then only the other one is new', async () => {
  const callSid = newCallSid()
  await recordWebhook(database, 'recording', { CallSid: callSid, RecordingUrl: LINK })
  const sources = [{ sourceUrl: LINK }, { sourceUrl: OTHER }]
  expect(await ingestListedCalls(database, 'reconcile', [{ callSid, sources }])).toEqual({ callsNew: 0, recordingsNew: 1 })
  expect(await database.webhookEvent.findMany({ where: { callSid, source: 'reconcile' } })).toMatchObject([{ sourceUrls: [OTHER] }])
})

test('When more calls wait for a link than one sweep requests, then each of them is in one of the sweeps', async () => {
  await owner.$executeRaw`TRUNCATE calls, recordings, recording_attempts CASCADE`
  const waiting = [newCallSid(), newCallSid(), newCallSid()]
  await owner.call.createMany({ data: waiting.map((callSid) => ({ callSid, recordingState: 'awaiting' })) })
  const seen = new Set<string>()
  for (let sweep = 0; sweep < 100; sweep += 1) for (const callSid of await listCallsWithoutLink(database, 1)) seen.add(callSid)
  expect([...seen].toSorted()).toEqual(waiting.toSorted())
})
