// Rows of calls whose recordings fail again, fail side by side, or were erased alone.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { Outcome } from '../../contracts/recording.ts'
import { claimEvents } from '../../calls/relay-events.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import { recordEvent } from '../../calls/record-event.ts'
import { enqueueRecovery, findDue } from '../../calls/recovery.ts'
import { deliveryIdentity, readCallEvent } from '../../exotel/call-event.ts'
import type { Database } from '../../platform/database.ts'
import { RECOVERY } from '../support/activities.ts'
import { newCallSid, openDatabase } from '../support/servers.ts'

const FIRST = 'https://recordings.exotel.com/a/1.mp3'
const SECOND = 'https://recordings.exotel.com/a/2.mp3'
const MINUTE = 60_000
const FAILED: Outcome = { state: 'failed', code: 'ExotelUnavailable', error: 'Exotel responded 503' }
const OBJECT = { bucket: 'recordings-of-the-company', key: 'quarantine/2026/11/26/x.mp3' }
const QUARANTINED: Outcome = {
  state: 'quarantined',
  code: 'RecordingDamaged',
  error: 'cut',
  ...OBJECT,
  url: 'https://s3.test/x.mp3',
  bytes: 10,
  sha256: 'a'.repeat(64),
  audio: { contentType: 'audio/mpeg', extension: 'mp3' },
}

let database: Database
let close: () => Promise<void>
let callSid: CallSid
beforeAll(async () => {
  ;({ database, close } = await openDatabase())
})
beforeEach(() => {
  callSid = newCallSid()
})
afterAll(() => close?.())

let attempts = 0
const conclude = (sourceUrl: string, outcome: Outcome) =>
  concludeRecording(database, { callSid, sourceUrl, outcome }, { attempt: `attempt ${(attempts += 1)}`, plan: RECOVERY })
const rowOf = (sourceUrl: string) => database.recording.findFirstOrThrow({ where: { callSid, sourceUrl } })

test('When a quarantined recording fails again, then its row still names the object in quarantine', async () => {
  await conclude(FIRST, QUARANTINED)
  await conclude(FIRST, FAILED)
  const kept = { bucket: OBJECT.bucket, objectKey: OBJECT.key, bytes: 10n }
  expect(await rowOf(FIRST)).toMatchObject({ state: 'failed', errorCode: 'ExotelUnavailable', ...kept })
})

describe('When two recordings of a call have failed', () => {
  beforeEach(async () => {
    await conclude(FIRST, FAILED)
    for (let times = 0; times < 3; times += 1) await conclude(SECOND, FAILED) // its next try is hours later than that of the first one
  })

  test('then the row of the call has the time of the next try that is due first', async () => {
    const [first, second] = [await rowOf(FIRST), await rowOf(SECOND)]
    expect(first.nextTryAt!.getTime()).toBeLessThan(second.nextTryAt!.getTime())
    const call = await database.call.findUniqueOrThrow({ where: { callSid } })
    expect(call).toMatchObject({ recordingState: 'failed', recordingNextTryAt: first.nextTryAt })
  })

  test('and recovery starts the one that is due, then the time of the other one does not change', async () => {
    const before = await rowOf(SECOND)
    const past = new Date(Date.now() - MINUTE)
    await database.recording.updateMany({ where: { callSid, sourceUrl: FIRST }, data: { nextTryAt: past } })
    const due = (await findDue(database, 1000)).find((each) => each.callSid === callSid)
    expect(due).toMatchObject({ sourceUrls: [FIRST] })
    await enqueueRecovery(database, due!, 15 * MINUTE)
    expect((await rowOf(FIRST)).nextTryAt!.getTime()).toBeGreaterThan(Date.now())
    expect((await rowOf(SECOND)).nextTryAt).toEqual(before.nextTryAt)
  })
})

test('When a webhook names a recording that alone was erased, then no workflow receives the event', async () => {
  const record = (RecordingUrl: string, CustomField: string) => {
    const fields = { CallSid: callSid, RecordingUrl, CustomField }
    const event = readCallEvent(fields, 'recording')
    const identity = deliveryIdentity('recording', fields)
    return recordEvent(database, { source: 'exotel', route: 'recording', identity, event, fields })
  }
  const claim = async () => (await claimEvents(database, { fresh: 1000, withoutResponse: 0 })).filter((event) => event.callSid === callSid)
  await record(FIRST, 'first')
  expect(await claim()).toMatchObject([{ sourceUrls: [FIRST], bringsNothingNew: false }])
  await database.webhookEvent.updateMany({ where: { callSid }, data: { relayState: 'started' } })
  await database.recording.updateMany({ where: { callSid, sourceUrl: FIRST }, data: { state: 'erased' } })
  await record(FIRST, 'repeated')
  await record(SECOND, 'of another recording')
  expect(await claim()).toMatchObject([
    { sourceUrls: [FIRST], bringsNothingNew: true },
    { sourceUrls: [SECOND], bringsNothingNew: false },
  ])
})
