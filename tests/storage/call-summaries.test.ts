// What the row of a call says while its recordings wait, fail and are stored one after the other.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { Outcome } from '../../contracts/recording.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import { recordRetryWait } from '../../calls/record-retry-wait.ts'
import { nameRecording } from '../../calls/recording-facts.ts'
import type { Database } from '../../platform/database.ts'
import { RECOVERY } from '../support/activities.ts'
import { newCallSid, openDatabase } from '../support/servers.ts'

const FIRST = 'https://recordings.exotel.com/a/1.mp3'
const SECOND = 'https://recordings.exotel.com/a/2.mp3'
const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const FAILED: Outcome = { state: 'failed', code: 'ExotelUnavailable', error: 'Exotel responded 503' }
const CUT: Outcome = { state: 'failed', code: 'DownloadIncomplete', error: 'cut' }
const EXPIRED: Outcome = { state: 'failed', code: 'RecordingExpired', error: 'gone' }
const STORED: Outcome = {
  state: 'stored',
  bucket: 'recordings-of-the-company',
  key: 'recordings/2026/11/26/x.mp3',
  url: 'https://s3.test/x.mp3',
  bytes: 2000,
  sha256: 'b'.repeat(64),
  audio: { contentType: 'audio/mpeg', extension: 'mp3', codec: 'mp3', sampleRate: 8000, channels: 1, durationSeconds: 5.25 },
}

let database: Database
let owner: Database
let close: () => Promise<void>
let callSid: CallSid
beforeAll(async () => {
  ;({ database, owner, close } = await openDatabase())
})
beforeEach(() => {
  callSid = newCallSid()
})
afterAll(() => close?.())

let attempts = 0
const conclude = (sourceUrl: string | undefined, outcome: Outcome) =>
  concludeRecording(
    database,
    { callSid, outcome, ...(sourceUrl !== undefined && { sourceUrl }) },
    { attempt: `attempt ${(attempts += 1)}`, plan: RECOVERY },
  )
const callOf = () => database.call.findUniqueOrThrow({ where: { callSid } })
const rowOf = (sourceUrl: string) => database.recording.findFirstOrThrow({ where: { callSid, sourceUrl } })
const hoursAgo = (hours: number) => new Date(Date.now() - hours * 60 * MINUTE)
const moveAttemptsBack = (ms: number) =>
  owner.recordingAttempt.updateMany({ where: { callSid }, data: { concludedAt: new Date(Date.now() - ms) } })

test('When a complete copy replaces one in quarantine, then its row describes the complete copy only', async () => {
  const audio = { contentType: 'audio/wav', extension: 'wav', codec: 'pcm', sampleRate: 16_000, channels: 2, durationSeconds: 2.5 }
  const object = { bucket: 'another-bucket', key: 'quarantine/2026/11/25/x.wav', url: 'https://s3.test/x.wav', bytes: 1000, audio }
  const sha256 = 'a'.repeat(64)
  await conclude(FIRST, { state: 'quarantined', code: 'RecordingDamaged', error: 'cut', ...object, sha256, remark: 'A foreign object' })
  await conclude(FIRST, STORED)
  const { durationSeconds, ...row } = await rowOf(FIRST)
  expect(row).toMatchObject({
    state: 'stored',
    bucket: STORED.bucket,
    objectKey: STORED.key,
    bytes: 2000n,
    sha256: STORED.sha256,
    contentType: 'audio/mpeg',
    codec: 'mp3',
    sampleRate: 8000,
    channels: 1,
    remark: null,
  })
  expect(Number(durationSeconds)).toBe(5.25)
})

describe('When a recording fails for the first time,', () => {
  test('then failures of another recording of its call do not count', async () => {
    await conclude(FIRST, FAILED)
    await moveAttemptsBack(31 * DAY)
    expect(await conclude(SECOND, FAILED)).toEqual({ givenUp: false })
    const { concludedAt } = await database.recordingAttempt.findFirstOrThrow({ where: { callSid, sourceUrl: SECOND } })
    const { nextTryAt } = await rowOf(SECOND)
    expect(Math.round((nextTryAt!.getTime() - concludedAt.getTime()) / MINUTE)).toBe(15)
  })

  test('then an earlier search that found no recording does not count', async () => {
    await conclude(undefined, { state: 'not_recorded', status: 'busy' })
    await moveAttemptsBack(31 * DAY)
    const missing: Outcome = { state: 'failed', code: 'RecordingMissing', error: 'Exotel names no recording' }
    expect(await conclude(undefined, missing)).toEqual({ givenUp: false })
  })
})

test('When Exotel does not know a call, then it is searched for five times', async () => {
  const unknown: Outcome = { state: 'failed', code: 'CallUnknown', error: 'Exotel does not know the call' }
  for (let search = 1; search <= 5; search += 1) expect(await conclude(undefined, unknown)).toEqual({ givenUp: search === 5 })
})

test('When a recording fails again, then its row and that of its call still say since when they failed', async () => {
  await conclude(FIRST, FAILED)
  const since = hoursAgo(2)
  await database.recording.updateMany({ where: { callSid }, data: { stateSince: since } })
  await database.call.update({ where: { callSid }, data: { recordingStateSince: since } })
  await conclude(FIRST, CUT)
  expect(await rowOf(FIRST)).toMatchObject({ errorCode: 'DownloadIncomplete', stateSince: since })
  expect(await callOf()).toMatchObject({ recordingErrorCode: 'DownloadIncomplete', recordingStateSince: since })
  await conclude(FIRST, STORED)
  expect((await rowOf(FIRST)).stateSince.getTime()).toBeGreaterThan(since.getTime())
  expect((await callOf()).recordingStateSince.getTime()).toBeGreaterThan(since.getTime())
})

test('When two recordings of a call are missing, then the call has the error of the one that failed last', async () => {
  await conclude(FIRST, FAILED)
  await database.recording.updateMany({ where: { callSid }, data: { stateSince: hoursAgo(2) } })
  await conclude(SECOND, CUT)
  expect(await callOf()).toMatchObject({ recordingState: 'failed', recordingErrorCode: 'DownloadIncomplete' })
})

describe('When one of two recordings is missing', () => {
  test('and the other one is stored later, then the call is stored and keeps the error', async () => {
    await conclude(SECOND, FAILED)
    await conclude(FIRST, STORED)
    expect(await callOf()).toMatchObject({
      recordingState: 'stored',
      recordingUrl: STORED.url,
      recordingError: FAILED.error,
      recordingErrorCode: FAILED.code,
      recordingNextTryAt: expect.any(Date),
      recordingGivenUpAt: null,
    })
  })

  test('and given up, then the row of the call says so, although the other one is stored', async () => {
    await conclude(FIRST, STORED)
    expect(await conclude(SECOND, EXPIRED)).toEqual({ givenUp: true })
    expect(await callOf()).toMatchObject({
      recordingState: 'stored',
      recordingErrorCode: 'RecordingExpired',
      recordingNextTryAt: null,
      recordingGivenUpAt: expect.any(Date),
    })
  })
})

test.each<[string, Outcome]>([
  ['finds none', { state: 'not_recorded', status: 'completed' }],
  ['fails', { state: 'failed', code: 'RecordingMissing', error: 'Exotel names no recording' }],
])('When the search for a recording %s while a link waits for its transfer, then the call still waits', async (_how, outcome) => {
  await nameRecording(database, callSid, { sourceUrl: FIRST })
  await conclude(undefined, outcome)
  expect(await callOf()).toMatchObject({ recordingState: 'awaiting', recordingErrorCode: null, recordingGivenUpAt: null })
})

describe('When several recordings of a call wait for their next attempt', () => {
  const inMinutes = (minutes: number) => new Date(Date.now() + minutes * MINUTE)
  const wait = (sourceUrl: string, at: Date, code: string) =>
    recordRetryWait(database, { callSid, sourceUrl, nextTryAt: at.toISOString(), reason: { code, error: code } })
  beforeEach(async () => {
    for (const sourceUrl of [FIRST, SECOND]) await nameRecording(database, callSid, { sourceUrl })
  })

  test('then the call has the time and the reason of the next one, also if that was reported last', async () => {
    const [soon, later] = [inMinutes(5), inMinutes(10)]
    await wait(FIRST, later, 'RecordingNotFound')
    await wait(SECOND, soon, 'DownloadIncomplete')
    expect(await callOf()).toMatchObject({ recordingErrorCode: 'DownloadIncomplete', recordingNextTryAt: soon })
  })

  test('then an attempt that has already started does not count as the next one', async () => {
    const next = inMinutes(10)
    await wait(FIRST, inMinutes(-1), 'RecordingNotFound')
    await wait(SECOND, next, 'DownloadIncomplete')
    expect(await callOf()).toMatchObject({ recordingErrorCode: 'DownloadIncomplete', recordingNextTryAt: next })
  })
})
