// What a claim of an event contains, how long it lasts, and what follows from it.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Outcome } from '../../contracts/recording.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import { claimEvents, deferEvents, markRelayed } from '../../calls/relay-events.ts'
import type { Database } from '../../platform/database.ts'
import { RECOVERY } from '../support/activities.ts'
import { recordWebhook } from '../support/record-webhook.ts'
import { newCallSid, openDatabase } from '../support/servers.ts'

const LINK = 'https://recordings.exotel.com/a/1.mp3'

let database: Database
let close: () => Promise<void>
beforeAll(async () => {
  ;({ database, close } = await openDatabase())
})
afterAll(() => close?.())

test('When a process claims an event, then another process can claim it after 30 s', async () => {
  const callSid = newCallSid()
  await recordWebhook(database, 'call-end', { CallSid: callSid })
  const [lease] = await database.$transaction(async (transaction) => {
    await claimEvents(transaction, { fresh: 1, withoutResponse: 0 })
    // In one transaction, now() is the time of the claim.
    return transaction.$queryRaw<{ seconds: number }[]>`
      SELECT extract(epoch FROM claimed_until - now()::timestamptz(3))::float AS seconds FROM webhook_events WHERE call_sid = ${callSid}`
  })
  expect(lease!.seconds).toBeCloseTo(30, 1)
})

test('When the recording of a call is in quarantine, then events without a new link start no workflow', async () => {
  const callSid = newCallSid()
  const audio = { contentType: 'audio/mpeg', extension: 'mp3' }
  const object = { bucket: 'b', key: 'quarantine/x.mp3', url: 'https://s3.test/x.mp3', bytes: 10, sha256: 'a'.repeat(64), audio }
  const outcome: Outcome = { state: 'quarantined', code: 'RecordingDamaged', error: 'cut', ...object }
  await concludeRecording(database, { callSid, sourceUrl: LINK, outcome }, { attempt: callSid, plan: RECOVERY })
  await recordWebhook(database, 'call-end', { CallSid: callSid, Status: 'completed' })
  await recordWebhook(database, 'recording', { CallSid: callSid, RecordingUrl: `${LINK}2` })
  const claimed = (await claimEvents(database, { fresh: 100, withoutResponse: 0 })).filter((event) => event.callSid === callSid)
  expect(claimed).toMatchObject([
    { sourceUrls: [], bringsNothingNew: true },
    { sourceUrls: [`${LINK}2`], bringsNothingNew: false },
  ])
})

test('When an event that Temporal refused before is started, then its row has the time, and no error any more', async () => {
  const callSid = newCallSid()
  await recordWebhook(database, 'call-end', { CallSid: callSid })
  const claim = async () => (await claimEvents(database, { fresh: 100, withoutResponse: 0 })).filter((event) => event.callSid === callSid)
  const rowOf = () => database.webhookEvent.findFirstOrThrow({ where: { callSid } })
  await deferEvents(
    database,
    (await claim()).map((event) => ({ ...event, reason: 'busy' })),
  )
  expect(await rowOf()).toMatchObject({ relayState: 'pending', relayError: 'busy', relayedAt: null })
  await database.$executeRaw`UPDATE webhook_events SET next_relay_at = now() - interval '1 s' WHERE call_sid = ${callSid}`
  await markRelayed(database, { started: await claim(), nothingNew: [] })
  expect(await rowOf()).toMatchObject({ relayState: 'started', relayTries: 1, relayError: null, relayedAt: expect.any(Date) })
})

test('When an event is claimed, then the claim contains what is known about its call', async () => {
  const callSid = newCallSid()
  await recordWebhook(database, 'call-start', { CallSid: callSid, StartTime: '2026-11-25 10:00:00' })
  await recordWebhook(database, 'call-end', {
    CallSid: callSid,
    Status: 'completed',
    EndTime: '2026-11-25 10:05:00',
    ConversationDuration: '290',
  })
  const claimed = (await claimEvents(database, { fresh: 100, withoutResponse: 0 })).filter((event) => event.callSid === callSid)
  const { receivedAt } = await database.webhookEvent.findFirstOrThrow({ where: { callSid, route: 'call-end' } })
  const known = { status: 'completed', endedAt: new Date('2026-11-25T04:35:00Z'), durationSeconds: 290 }
  expect(claimed).toMatchObject([{ ...known, source: 'exotel', requestId: 'r', receivedAt, endReportedAt: receivedAt }])
})
