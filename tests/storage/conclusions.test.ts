// The rows of a call and its recordings after conclusions and waits.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { concludeRecording as concludeAttempt } from '../../calls/conclude-recording.ts'
import { recordRetryWait } from '../../calls/record-retry-wait.ts'
import { nameRecording } from '../../calls/recording-facts.ts'
import type { WebhookRoute } from '../../exotel/call-event.ts'
import type { Database } from '../../platform/database.ts'
import type { Conclusion, Outcome } from '../../contracts/recording.ts'
import { RECOVERY } from '../support/activities.ts'
import { recordWebhook } from '../support/record-webhook.ts'
import { openDatabase, newCallSid } from '../support/servers.ts'

let database: Database
let close: () => Promise<void>
beforeAll(async () => {
  ;({ database, close } = await openDatabase())
})
afterAll(async () => {
  await close?.()
})

const LINK = 'https://recordings.exotel.com/a/1.mp3'
const AUDIO = { contentType: 'audio/mpeg', extension: 'mp3', codec: 'mp3', sampleRate: 8000, channels: 1, durationSeconds: 5.25 }
const OBJECT = {
  bucket: 'b',
  key: 'recordings/2026/11/25/x.mp3',
  url: 'https://s3/b/x.mp3',
  bytes: 10,
  sha256: 'a'.repeat(64),
  audio: AUDIO,
}
const stored: Outcome = { state: 'stored', ...OBJECT }
const quarantined: Outcome = { state: 'quarantined', code: 'RecordingDamaged', error: 'cut', ...OBJECT, key: 'quarantine/x.mp3' }
const failed: Outcome = { state: 'failed', code: 'ExotelUnavailable', error: 'away' }

let attempts = 0
function concludeRecording(on: Database, conclusion: Conclusion, attempt = `attempt ${(attempts += 1)}`) {
  return concludeAttempt(on, conclusion, { attempt, plan: RECOVERY })
}
const record = (route: WebhookRoute, fields: Record<string, string>) => recordWebhook(database, route, fields)
const callOf = (callSid: CallSid) => database.call.findUniqueOrThrow({ where: { callSid } })
const recordingOf = (callSid: CallSid, sourceUrl = LINK) => database.recording.findFirst({ where: { callSid, sourceUrl } })

describe('When recordings are concluded, then a better state is never replaced by a worse one:', () => {
  const conclude = (callSid: CallSid, outcome: Outcome, sourceUrl: string | undefined = LINK) =>
    concludeRecording(database, { callSid, sourceUrl, outcome })

  test('failed, then quarantined, then stored, then it stays stored', async () => {
    const callSid = newCallSid()
    await record('recording', { CallSid: callSid, RecordingUrl: LINK })
    await conclude(callSid, failed)
    expect(await callOf(callSid)).toMatchObject({ recordingState: 'failed', recordingErrorCode: 'ExotelUnavailable', recordingUrl: null })
    await conclude(callSid, quarantined)
    expect(await callOf(callSid)).toMatchObject({
      recordingState: 'quarantined',
      recordingErrorCode: 'RecordingDamaged',
      recordingUrl: null,
    })
    expect(await recordingOf(callSid)).toMatchObject({ state: 'quarantined', objectKey: 'quarantine/x.mp3', bytes: 10n })
    await conclude(callSid, stored)
    await concludeRecording(database, { callSid, outcome: { state: 'not_recorded' } })
    for (const late of [{ ...stored, key: 'recordings/elsewhere.mp3', url: 'https://elsewhere' }, failed, quarantined]) {
      await conclude(callSid, late)
      expect(await callOf(callSid)).toMatchObject({
        recordingState: 'stored',
        recordingError: null,
        recordingErrorCode: null,
        recordingUrl: OBJECT.url,
      })
      expect(await recordingOf(callSid)).toMatchObject({
        state: 'stored',
        objectKey: OBJECT.key,
        errorCode: null,
        channels: 1,
        sampleRate: 8000,
      })
    }
  })

  test('if one of two recordings is missing, the call has the URL of the stored one, and the error until none is missing', async () => {
    const callSid = newCallSid()
    const other = `${LINK}2`
    await record('recording', { CallSid: callSid, RecordingUrl: LINK })
    await record('recording', { CallSid: callSid, RecordingUrl: other })
    await conclude(callSid, stored)
    await conclude(callSid, failed, other)
    expect(await callOf(callSid)).toMatchObject({
      recordingState: 'stored',
      recordingUrl: OBJECT.url,
      recordingErrorCode: 'ExotelUnavailable',
    })
    await conclude(callSid, { ...stored, url: 'https://s3/b/second.mp3' }, other)
    expect(await callOf(callSid)).toMatchObject({ recordingState: 'stored', recordingUrl: OBJECT.url, recordingError: null })
  })

  test('the reason of a wait is on both rows until the conclusion, and a late wait does not replace a conclusion', async () => {
    const callSid = newCallSid()
    const nextTryAt = '2026-11-26T10:00:00.000Z'
    const reason = { code: 'DownloadIncomplete', error: 'cut' }
    await record('recording', { CallSid: callSid, RecordingUrl: LINK })
    await recordRetryWait(database, { callSid, sourceUrl: LINK, nextTryAt, reason })
    const waiting = { recordingState: 'awaiting', recordingErrorCode: 'DownloadIncomplete', recordingNextTryAt: new Date(nextTryAt) }
    expect(await callOf(callSid)).toMatchObject(waiting)
    expect(await recordingOf(callSid)).toMatchObject({ state: 'awaiting', error: 'cut', nextTryAt: new Date(nextTryAt) })
    await conclude(callSid, failed)
    const again = { recordingState: 'failed', recordingErrorCode: 'ExotelUnavailable', recordingNextTryAt: expect.any(Date) }
    expect(await callOf(callSid)).toMatchObject(again)
    await recordRetryWait(database, { callSid, sourceUrl: LINK, nextTryAt, reason })
    expect((await callOf(callSid)).recordingNextTryAt).not.toEqual(new Date(nextTryAt)) // recovery sets it
    await conclude(callSid, stored)
    await recordRetryWait(database, { callSid, sourceUrl: LINK, nextTryAt, reason })
    const done = { recordingState: 'stored', recordingErrorCode: null, recordingNextTryAt: null }
    expect(await callOf(callSid)).toMatchObject(done)
    expect(await recordingOf(callSid)).toMatchObject({ state: 'stored', errorCode: null, nextTryAt: null })
  })

  test('if several recordings wait, the call shows the one whose next attempt is first', async () => {
    const callSid = newCallSid()
    const [soon, later] = [60_000, 120_000].map((ms) => new Date(Date.now() + ms))
    const [first, second] = [LINK, `${LINK}2`]
    for (const RecordingUrl of [first, second]) await record('recording', { CallSid: callSid, RecordingUrl })
    await recordRetryWait(database, {
      callSid,
      sourceUrl: first,
      nextTryAt: soon!.toISOString(),
      reason: { code: 'RecordingNotFound', error: '404' },
    })
    await recordRetryWait(database, {
      callSid,
      sourceUrl: second,
      nextTryAt: later!.toISOString(),
      reason: { code: 'DownloadIncomplete', error: 'cut' },
    })
    expect(await callOf(callSid)).toMatchObject({ recordingErrorCode: 'RecordingNotFound', recordingNextTryAt: soon })
    const rows = await database.recording.findMany({ where: { callSid }, orderBy: { id: 'asc' } })
    expect(rows).toMatchObject([
      { errorCode: 'RecordingNotFound', nextTryAt: soon },
      { errorCode: 'DownloadIncomplete', nextTryAt: later },
    ])
  })

  test('a call without a recording, and one without a row', async () => {
    const callSid = newCallSid()
    await concludeRecording(database, { callSid, outcome: { state: 'not_recorded' } })
    expect(await callOf(callSid)).toMatchObject({ recordingState: 'not_recorded', recordingError: null })
    await conclude(callSid, stored)
    expect(await callOf(callSid)).toMatchObject({ recordingState: 'stored' })
  })

  test('a call that is not recorded stays so when that is concluded again while a link waits', async () => {
    const callSid = newCallSid()
    await concludeRecording(database, { callSid, outcome: { state: 'not_recorded', status: 'busy' } })
    await nameRecording(database, callSid, { sourceUrl: LINK })
    await concludeRecording(database, { callSid, outcome: { state: 'not_recorded', status: 'busy' } })
    expect(await callOf(callSid)).toMatchObject({ recordingState: 'not_recorded', recordingConcludedStatus: 'busy' })
  })

  test('an erased call stays erased, and no later event changes its row', async () => {
    const callSid = newCallSid()
    await record('recording', { CallSid: callSid, RecordingUrl: LINK })
    await database.call.update({ where: { callSid }, data: { recordingState: 'erased' } })
    await database.recording.updateMany({ where: { callSid }, data: { state: 'erased' } })
    await conclude(callSid, stored)
    await record('call-end', { CallSid: callSid, Status: 'completed', From: '09876543210', RecordingUrl: `${LINK}2` })
    expect(await callOf(callSid)).toMatchObject({ recordingState: 'erased', recordingUrl: null, fromNumber: null, status: null })
    expect(await recordingOf(callSid, `${LINK}2`)).toBeNull()
    expect(await recordingOf(callSid)).toMatchObject({ state: 'erased' })
  })
})

test('When a recording alone is erased, then an event that names it again does not change its row', async () => {
  const callSid = newCallSid()
  await record('recording', { CallSid: callSid, RecordingUrl: LINK })
  await database.recording.updateMany({ where: { callSid }, data: { state: 'erased' } })
  await record('recording', { CallSid: callSid, RecordingUrl: `${LINK}?token=new` })
  expect(await recordingOf(callSid)).toMatchObject({ state: 'erased', fetchUrl: null })
})

test('When a damaged file has an impossible duration, and a foreign object has its key, then its row has no length and a remark', async () => {
  const callSid = newCallSid()
  const outcome: Outcome = { ...quarantined, audio: { ...AUDIO, durationSeconds: 1e7 - 0.0001 }, remark: 'A foreign object has the key x' }
  await concludeRecording(database, { callSid, sourceUrl: LINK, outcome })
  expect(await recordingOf(callSid)).toMatchObject({
    state: 'quarantined',
    durationSeconds: null,
    remark: 'A foreign object has the key x',
  })
})
