// Which calls recovery selects, and in which order, so that no call is left out if there are more than one pass starts.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { enqueueRecovery, findDue, findWithoutOpenRun } from '../../calls/recovery.ts'
import type { Database } from '../../platform/database.ts'
import { newCallSid, openDatabase } from '../support/servers.ts'

const FIRST = 'https://recordings.exotel.com/a/1.mp3'
const SECOND = 'https://recordings.exotel.com/a/2.mp3'
const HOUR = 3600_000
const FAILURE = { recordingError: 'Exotel responded 503', recordingErrorCode: 'ExotelUnavailable' }

let database: Database
let owner: Database
let close: () => Promise<void>
beforeAll(async () => {
  ;({ database, owner, close } = await openDatabase())
})
beforeEach(() => owner.$executeRaw`TRUNCATE calls, recordings, recording_attempts, webhook_events CASCADE`)
afterAll(() => close?.())

const hoursAgo = (hours: number) => new Date(Date.now() - hours * HOUR)
const sidsOf = (calls: { callSid: CallSid }[]) => calls.map(({ callSid }) => callSid)

/** Inserts a call whose recording, or whose search if it has none, has failed and is due. */
async function failedCall(dueSince: Date, sourceUrl?: string): Promise<CallSid> {
  const callSid = newCallSid()
  await owner.call.create({ data: { callSid, recordingState: 'failed', recordingNextTryAt: dueSince, ...FAILURE } })
  const failure = { error: FAILURE.recordingError, errorCode: FAILURE.recordingErrorCode }
  if (sourceUrl !== undefined)
    await owner.recording.create({ data: { callSid, sourceUrl, state: 'failed', nextTryAt: dueSince, ...failure } })
  return callSid
}

describe('When more calls have failed than a pass starts', () => {
  test('then those that are due for the longest time are first, and searches are after recordings', async () => {
    const search = await failedCall(hoursAgo(9))
    const recordings: CallSid[] = []
    for (const hours of [2, 4, 1, 3]) recordings.push(await failedCall(hoursAgo(hours), FIRST))
    const [two, four, one, three] = recordings
    expect(sidsOf(await findDue(database, 2))).toEqual([four, three])
    expect(sidsOf(await findDue(database, 10))).toEqual([four, three, two, one, search])
  })

  test('then a call with a recording is selected once, and no search is started for it', async () => {
    const callSid = await failedCall(hoursAgo(1), FIRST)
    expect(await findDue(database, 10)).toMatchObject([{ callSid, sourceUrls: [FIRST] }])
  })

  test.each([
    ['a recording', FIRST],
    ['a search', undefined],
  ])('then %s is not selected while the relay still has an event of its call', async (_what, sourceUrl) => {
    const callSid = await failedCall(hoursAgo(1), sourceUrl)
    const event = { source: 'recovery', route: 'recovery', identity: callSid, callSid, relayState: 'pending' }
    await database.webhookEvent.create({ data: event })
    expect(await findDue(database, 10)).toEqual([])
    await database.webhookEvent.updateMany({ data: { relayState: 'started' } })
    expect(sidsOf(await findDue(database, 10))).toEqual([callSid])
  })
})

test('When a recording fails again after recovery has started it, then recovery starts it again', async () => {
  const callSid = await failedCall(hoursAgo(3), FIRST)
  for (const [index, nextFailureHours] of [2, 1].entries()) {
    const [due] = await findDue(database, 10)
    await enqueueRecovery(database, due!, HOUR)
    expect(await database.webhookEvent.count({ where: { callSid, source: 'recovery' } })).toBe(index + 1)
    await database.webhookEvent.updateMany({ data: { relayState: 'started' } })
    await database.recording.updateMany({ where: { callSid }, data: { nextTryAt: hoursAgo(nextFailureHours) } })
  }
})

describe('When calls wait and their rows have not changed for an hour', () => {
  const quiet = (limit = 10) => findWithoutOpenRun(database, { limit, quietMs: 600_000 })
  const waitingCall = async (callSid: string, data: object = {}) =>
    owner.call.create({ data: { callSid, recordingState: 'awaiting', updatedAt: hoursAgo(1), ...data } })

  test('then one that was never checked is before one that was checked earlier', async () => {
    const [checked, never] = [newCallSid(), newCallSid()].toSorted() as [CallSid, CallSid]
    await waitingCall(checked, { ownerCheckedAt: hoursAgo(2) })
    await waitingCall(never)
    expect(sidsOf(await quiet(1))).toEqual([never])
    expect(sidsOf(await quiet())).toEqual([never, checked])
  })

  test('then only the recordings that wait are started again', async () => {
    const callSid = newCallSid()
    await waitingCall(callSid, { recordingState: 'stored', recordingUrl: 'https://s3.test/x.mp3' })
    const object = { bucket: 'b', objectKey: 'k', bytes: 1n, sha256: 'a'.repeat(64) }
    await owner.recording.create({ data: { callSid, sourceUrl: FIRST, state: 'stored', ...object } })
    await owner.recording.create({ data: { callSid, sourceUrl: SECOND } })
    expect(await quiet()).toMatchObject([{ callSid, sourceUrls: [SECOND] }])
  })

  test('then an erased call is left out, although the row of a recording still waits', async () => {
    const callSid = newCallSid()
    await waitingCall(callSid, { recordingState: 'erased' })
    await owner.recording.create({ data: { callSid, sourceUrl: FIRST } })
    expect(await quiet()).toEqual([])
  })
})
