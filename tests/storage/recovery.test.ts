import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { claimEvents } from '../../calls/relay-events.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import { nextRecovery } from '../../calls/recovery-plan.ts'
import { enqueueRecovery, findDue, findWithoutOpenRun, deferRecovery } from '../../calls/recovery.ts'
import { nameRecording } from '../../calls/recording-facts.ts'
import type { Database } from '../../platform/database.ts'
import type { FailureCode } from '../../contracts/failures.ts'
import type { Outcome } from '../../contracts/recording.ts'
import { RECOVERY } from '../support/activities.ts'
import { openDatabase, newCallSid } from '../support/servers.ts'

const LINK = 'https://recordings.exotel.com/a/1.mp3'
const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

let database: Database
let owner: Database
let close: () => Promise<void>
beforeAll(async () => {
  ;({ database, owner, close } = await openDatabase())
})
afterAll(async () => {
  await close?.()
})

const failed = (code: FailureCode = 'ExotelUnavailable'): Outcome => ({ state: 'failed', code, error: `${code} happened` })
const recordingOf = (callSid: CallSid) => database.recording.findFirstOrThrow({ where: { callSid } })
const callOf = (callSid: CallSid) => database.call.findUniqueOrThrow({ where: { callSid } })
let attempts = 0
const conclude = (callSid: CallSid, outcome: Outcome, attempt = `run/${(attempts += 1)}`) =>
  concludeRecording(database, { callSid, sourceUrl: LINK, outcome }, { attempt, plan: RECOVERY })
const search = (callSid: CallSid, outcome: Outcome) =>
  concludeRecording(database, { callSid, outcome }, { attempt: `run/${(attempts += 1)}`, plan: RECOVERY })
const makeDue = async (callSid: CallSid) => {
  const past = new Date(Date.now() - 1000)
  await database.recording.updateMany({ where: { callSid }, data: { nextTryAt: past } })
  await database.call.updateMany({ where: { callSid }, data: { recordingNextTryAt: past } })
}
const dueOf = async (callSid: CallSid) => (await findDue(database, 1000)).find((each) => each.callSid === callSid)
const quietOf = async (callSid: CallSid) =>
  (await findWithoutOpenRun(database, { limit: 1000, quietMs: 600_000 })).find((each) => each.callSid === callSid)
const eventsOf = (callSid: CallSid) => database.webhookEvent.findMany({ where: { callSid }, orderBy: { id: 'asc' } })

test('When a recording fails repeatedly, then it is retried after 15 min, 1 h, 6 h, 24 h, 72 h, then daily, while Exotel keeps it', () => {
  const ended = Date.UTC(2026, 10, 1)
  const times: number[] = []
  for (let now = ended, failures = 1; ; failures += 1) {
    const next = nextRecovery('ExotelUnavailable', { failures, since: new Date(ended), now: new Date(now) }, RECOVERY)
    if (!next) break
    times.push((next.getTime() - now) / MINUTE)
    now = next.getTime()
  }
  expect(times.slice(0, 7)).toEqual([15, 60, 360, 1440, 4320, 1440, 1440])
  expect(times.reduce((sum, each) => sum + each)).toBeLessThanOrEqual((30 * DAY) / MINUTE)
  expect(times.length).toBeGreaterThan(28)
})

describe('When a recording has failed', () => {
  test('then its attempt is recorded once, however often it is concluded, and the time of the next one is on both rows', async () => {
    const callSid = newCallSid()
    for (let i = 0; i < 3; i += 1) await conclude(callSid, failed(), `told-thrice-${callSid}`)
    await conclude(callSid, failed('DownloadIncomplete'))
    const kept = await database.recordingAttempt.findMany({ where: { callSid }, orderBy: { id: 'asc' } })
    expect(kept.map(({ state, errorCode, error }) => [state, errorCode, error])).toEqual([
      ['failed', 'ExotelUnavailable', 'ExotelUnavailable happened'],
      ['failed', 'DownloadIncomplete', 'DownloadIncomplete happened'],
    ])
    const { nextTryAt, givenUpAt } = await recordingOf(callSid)
    expect(Math.round((nextTryAt!.getTime() - kept[1]!.concludedAt.getTime()) / MINUTE)).toBe(60)
    expect(givenUpAt).toBeNull()
    expect(await callOf(callSid)).toMatchObject({ recordingNextTryAt: nextTryAt, recordingGivenUpAt: null })
  })

  test.each(['RecordingExpired', 'RecordingTooLarge', 'RecordingUrlRefused', 'Cancelled'] as const)(
    'then %s is final, reported once, and on the row',
    async (code) => {
      const callSid = newCallSid()
      expect(await conclude(callSid, failed(code))).toEqual({ givenUp: true })
      expect(await recordingOf(callSid)).toMatchObject({ nextTryAt: null, givenUpAt: expect.any(Date), errorCode: code })
      expect(await callOf(callSid)).toMatchObject({ recordingNextTryAt: null, recordingGivenUpAt: expect.any(Date) })
      await makeDueOnlyIfPlanned(callSid)
      expect(await dueOf(callSid)).toBeUndefined()
    },
  )

  test('then it is given up when Exotel no longer keeps it, and a copy that is stored later reverts this', async () => {
    const callSid = newCallSid()
    expect(await conclude(callSid, failed())).toEqual({ givenUp: false })
    await owner.recordingAttempt.updateMany({ where: { callSid }, data: { concludedAt: new Date(Date.now() - 31 * DAY) } })
    expect(await conclude(callSid, failed())).toEqual({ givenUp: true })
    const stored: Outcome = {
      state: 'stored',
      bucket: 'b',
      key: 'k',
      url: 'https://s3/b/k',
      bytes: 1,
      sha256: 'a'.repeat(64),
      audio: { contentType: 'audio/mpeg', extension: 'mp3' },
    }
    expect(await conclude(callSid, stored)).toEqual({ givenUp: false })
    expect(await callOf(callSid)).toMatchObject({ recordingState: 'stored', recordingGivenUpAt: null, recordingError: null })
    expect(await conclude(callSid, failed('RecordingExpired'))).toEqual({ givenUp: false }) // a late failure of a stored recording
  })

  test('then one that was stored before is retried for a month again, whatever failed before', async () => {
    const callSid = newCallSid()
    await conclude(callSid, failed())
    await database.recordingAttempt.create({ data: { callSid, sourceUrl: LINK, identity: `stored ${callSid}`, state: 'stored' } })
    await owner.recordingAttempt.updateMany({ where: { callSid }, data: { concludedAt: new Date(Date.now() - 400 * DAY) } })
    expect(await conclude(callSid, failed('ObjectMissing'))).toEqual({ givenUp: false })
    const inMinutes = Math.round(((await recordingOf(callSid)).nextTryAt!.getTime() - Date.now()) / MINUTE)
    expect(inMinutes).toBe(15)
  })

  test('then it is searched for five times if Exotel has none', async () => {
    const callSid = newCallSid()
    for (let times = 1; times < 5; times += 1) expect(await search(callSid, failed('RecordingMissing'))).toEqual({ givenUp: false })
    expect(await search(callSid, failed('RecordingMissing'))).toEqual({ givenUp: true })
  })

  test('then it is due after its pause, enqueued once, and not due again before the run concludes it or the lease expires', async () => {
    const callSid = newCallSid()
    await conclude(callSid, failed())
    expect(await dueOf(callSid)).toBeUndefined()
    await makeDue(callSid)
    const due = await dueOf(callSid)
    expect(due).toMatchObject({ sourceUrls: [LINK] })
    await Promise.all([enqueueRecovery(database, due!, 15 * MINUTE), enqueueRecovery(database, due!, 15 * MINUTE)])
    expect(await eventsOf(callSid)).toMatchObject([{ source: 'recovery', relayState: 'pending', sourceUrls: [LINK] }])
    expect(await dueOf(callSid)).toBeUndefined()
    expect((await callOf(callSid)).recordingNextTryAt!.getTime()).toBeGreaterThan(Date.now() + 14 * MINUTE)
  })

  test('then its call is given up only after every recording of it is given up', async () => {
    const callSid = newCallSid()
    const other = `${LINK}2`
    const context = { attempt: `other ${callSid}`, plan: RECOVERY }
    await concludeRecording(database, { callSid, sourceUrl: other, outcome: failed('RecordingExpired') }, context)
    expect(await conclude(callSid, failed())).toEqual({ givenUp: false })
    expect(await callOf(callSid)).toMatchObject({ recordingGivenUpAt: null, recordingNextTryAt: expect.any(Date) })
    expect(await conclude(callSid, failed('RecordingExpired'))).toEqual({ givenUp: true })
    expect(await callOf(callSid)).toMatchObject({ recordingGivenUpAt: expect.any(Date), recordingNextTryAt: null })
  })

  test('then recovery’s event for its call is new to the relay, and a late one of Exotel without a link is not', async () => {
    const callSid = newCallSid()
    await search(callSid, failed('RecordingMissing'))
    await makeDue(callSid)
    await enqueueRecovery(database, (await dueOf(callSid))!, 15 * MINUTE)
    const late = { source: 'exotel', route: 'recording', identity: `late ${callSid}`, callSid, relayState: 'pending' }
    await database.webhookEvent.create({ data: late })
    const claimed = (await claimEvents(database, { fresh: 1000, withoutResponse: 0 })).filter((event) => event.callSid === callSid)
    expect(claimed).toMatchObject([
      { source: 'recovery', sourceUrls: [], bringsNothingNew: false },
      { source: 'exotel', sourceUrls: [], bringsNothingNew: true },
    ])
  })

  test('then a failed search is also due, and an erased call is not', async () => {
    const [searched, erased] = [newCallSid(), newCallSid()]
    for (const callSid of [searched, erased]) await search(callSid, failed('RecordingMissing'))
    await database.call.update({ where: { callSid: erased }, data: { recordingState: 'erased' } })
    for (const callSid of [searched, erased]) await makeDue(callSid)
    expect(await dueOf(searched)).toMatchObject({ sourceUrls: [] })
    expect(await dueOf(erased)).toBeUndefined()
  })

  test('then it is not due if its call was erased in the meantime', async () => {
    const callSid = newCallSid()
    await conclude(callSid, failed())
    await makeDue(callSid)
    expect(await dueOf(callSid)).toMatchObject({ sourceUrls: [LINK] })
    await database.call.update({ where: { callSid }, data: { recordingState: 'erased', recordingError: null, recordingErrorCode: null } })
    expect(await dueOf(callSid)).toBeUndefined()
  })
})

describe('When a call waits and its row does not change', () => {
  const makeQuiet = (callSid: CallSid) =>
    database.$executeRaw`UPDATE calls SET updated_at = now() - interval '11 minutes', owner_checked_at = NULL WHERE call_sid = ${callSid}`

  test('then it is checked after a pause, and again only after another pause', async () => {
    const callSid = newCallSid()
    await nameRecording(database, callSid, { sourceUrl: LINK })
    expect(await quietOf(callSid)).toBeUndefined()
    await makeQuiet(callSid)
    expect(await quietOf(callSid)).toMatchObject({ sourceUrls: [LINK] })
    await deferRecovery(database, callSid, 1000)
    expect(await quietOf(callSid)).toBeUndefined()
  })

  test('then each event is new, and none is added while the relay still has one', async () => {
    const callSid = newCallSid()
    await nameRecording(database, callSid, { sourceUrl: LINK })
    for (let times = 1; times <= 2; times += 1) {
      await makeQuiet(callSid)
      await enqueueRecovery(database, (await quietOf(callSid))!, 1000)
      expect(await eventsOf(callSid)).toHaveLength(times)
      await makeQuiet(callSid)
      expect(await quietOf(callSid)).toBeUndefined()
      await database.webhookEvent.updateMany({ where: { callSid }, data: { relayState: 'started' } })
    }
  })

  test('then a second recording of a stored call counts too', async () => {
    const callSid = newCallSid()
    await nameRecording(database, callSid, { sourceUrl: LINK })
    await database.call.update({ where: { callSid }, data: { recordingState: 'stored', recordingUrl: 'https://s3/b/k' } })
    await makeQuiet(callSid)
    expect(await quietOf(callSid)).toMatchObject({ sourceUrls: [LINK] })
  })
})

async function makeDueOnlyIfPlanned(callSid: CallSid): Promise<void> {
  await database.$executeRaw`UPDATE recordings SET next_try_at = next_try_at - interval '1 year' WHERE call_sid = ${callSid}`
}
