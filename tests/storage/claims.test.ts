// Claims of events in PostgreSQL: which process may claim an event, and which may change it.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { DeliveryOutcome } from '../../relay/deliver-event.ts'
import { createOutcomeRecorder } from '../../relay/relay-outcomes.ts'
import {
  claimEvents,
  deferEvents,
  clearRelayWaits,
  markRelayed,
  recordNoResponse,
  releaseEvents,
  type ClaimedEvent,
} from '../../calls/relay-events.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import type { WebhookRoute } from '../../exotel/call-event.ts'
import type { Database } from '../../platform/database.ts'
import type { Outcome } from '../../contracts/recording.ts'
import { RECOVERY } from '../support/activities.ts'
import { recordWebhook } from '../support/record-webhook.ts'
import { newCallSid, openDatabase } from '../support/servers.ts'

const LINK = 'https://recordings.exotel.com/a/1.mp3'

let database: Database
let owner: Database
let close: () => Promise<void>
beforeAll(async () => {
  ;({ database, owner, close } = await openDatabase())
})
beforeEach(() => owner.webhookEvent.deleteMany())
afterAll(() => close?.())

async function commit(count: number): Promise<void> {
  const calls = Array.from({ length: count }, newCallSid)
  await database.webhookEvent.createMany({
    data: calls.map((callSid) => ({ source: 'exotel', route: 'call-end', identity: callSid, callSid, relayState: 'pending' })),
  })
}
const claim = (count: number) => claimEvents(database, { fresh: count, withoutResponse: count })
const idsOf = (events: { id: bigint }[]) => events.map(({ id }) => id).toSorted()
const rowOf = ({ id }: { id: bigint }) => database.webhookEvent.findUniqueOrThrow({ where: { id } })
const expireLeases = () => database.$executeRaw`UPDATE webhook_events SET claimed_until = now() - interval '1 s'`
/** The column has millisecond precision: the current time may be rounded up, and then it is not due yet. */
const endPauses = () => database.$executeRaw`UPDATE webhook_events SET next_relay_at = now() - interval '1 s'`

test('When several claim at the same time, then no event is claimed twice, and what is released or expired can be claimed again', async () => {
  await commit(30)
  const claimed = await database.$transaction(async (slow) => {
    const first = await claimEvents(slow, { fresh: 10, withoutResponse: 10 }) // not committed while the others claim theirs
    const others = await Promise.all(Array.from({ length: 3 }, () => claim(5)))
    return [...first, ...others.flat()]
  })
  expect(claimed.length).toBeGreaterThan(10)
  expect(new Set(claimed.map(({ id }) => id)).size).toBe(claimed.length)
  expect(await claim(100)).toHaveLength(30 - claimed.length)
  await releaseEvents(database, claimed.slice(0, 5))
  expect(idsOf(await claim(100))).toEqual(idsOf(claimed.slice(0, 5)))
  await database.$executeRaw`UPDATE webhook_events SET claimed_until = now() - interval '1 s' WHERE id = ${claimed[9]!.id}`
  expect(idsOf(await claim(100))).toEqual([claimed[9]!.id])
})

test('When events are released, then they are claimed after all others that are due', async () => {
  await commit(3)
  const [first, second] = await claim(2)
  await releaseEvents(database, [first!, second!])
  const [third] = await claim(1)
  expect([first!.id, second!.id]).not.toContain(third!.id)
})

const WRITES: [string, (claims: ClaimedEvent[]) => Promise<void>][] = [
  ['marks it as started', (claims) => markRelayed(database, { started: claims, nothingNew: [] })],
  ['marks it as nothing new', (claims) => markRelayed(database, { started: [], nothingNew: claims })],
  ['releases it', (claims) => releaseEvents(database, claims)],
  ['records that it got no response', (claims) => recordNoResponse(database, claims.map(withReason))],
  ['defers it', (claims) => deferEvents(database, claims.map(withReason))],
]
const withReason = (event: ClaimedEvent) => ({ ...event, reason: 'late' })

test.each(WRITES)(
  'When a claim expired and another process claimed the event, and the first one %s, then nothing changes',
  async (_what, write) => {
    await commit(1)
    const first = await claim(1)
    await expireLeases()
    const second = await claim(1)
    expect(idsOf(second)).toEqual(idsOf(first))
    const before = await rowOf(second[0]!)
    await write(first)
    expect(await rowOf(second[0]!)).toEqual(before)
    await write(second)
    expect(await rowOf(second[0]!)).toMatchObject({ claimedBy: null, claimedUntil: null })
  },
)

test.each(WRITES)(
  'When an event was marked as started, and the holder of an earlier claim %s, then it stays started',
  async (_what, write) => {
    await commit(1)
    const claimed = await claim(1)
    await markRelayed(database, { started: claimed, nothingNew: [] })
    const before = await rowOf(claimed[0]!)
    await write(claimed)
    expect(await rowOf(claimed[0]!)).toEqual(before)
  },
)

test.each<[string, DeliveryOutcome, object]>([
  ['Temporal accepted it', { kind: 'started' }, { relayState: 'started', relayError: null }],
  ['no workflow has to receive it', { kind: 'nothing_new' }, { relayState: 'nothing_new' }],
  ['Temporal refused it', { kind: 'refused', reason: 'busy' }, { relayState: 'pending', relayTries: 1, relayError: 'busy' }],
  ['only it got no response', { kind: 'no_response', reason: 'late' }, { relayState: 'pending', relayWaits: 1, relayError: 'late' }],
  [
    'Temporal as a whole did not respond',
    { kind: 'temporal_fault', reason: 'away' },
    { relayState: 'pending', relayTries: 0, relayWaits: 0 },
  ],
])('When an event was sent and %s, then its row contains this outcome, and its claim has ended', async (_what, outcome, row) => {
  await commit(1)
  const [event] = await claim(1)
  await createOutcomeRecorder(database, pino({ level: 'silent' }))({ event: event!, outcome })
  expect(await rowOf(event!)).toMatchObject({ ...row, claimedBy: null, claimedUntil: null })
})

test('When an event names a recording that has no row, then the event is new, whatever recordings its call has', async () => {
  const callSid = newCallSid()
  await database.call.create({ data: { callSid, recordingState: 'stored', recordingUrl: 'https://s3/b/k' } })
  const event = { source: 'exotel', route: 'recording', identity: callSid, callSid, relayState: 'pending' }
  await database.webhookEvent.create({ data: { ...event, sourceUrls: [LINK] } })
  expect(await claim(1)).toMatchObject([{ callSid, bringsNothingNew: false }])
})

test('When many outcomes are recorded in one statement, then each event gets its own reason', async () => {
  await commit(3)
  const claimed = await claim(3)
  await recordNoResponse(
    database,
    claimed.map((event, index) => ({ ...event, reason: `reason ${index} ${'x'.repeat(600)}` })),
  )
  for (const [index, event] of claimed.entries()) {
    const { relayError, relayWaits } = await rowOf(event)
    expect(relayError).toMatch(new RegExp(`^reason ${index} x+$`))
    expect(relayError).toHaveLength(500)
    expect(relayWaits).toBe(1)
  }
})

test('When an event is deferred repeatedly, then its pause grows from 5 s to an hour, and its count of waits restarts', async () => {
  await commit(1)
  await database.$executeRaw`UPDATE webhook_events SET relay_waits = 4`
  const pauses: number[] = []
  for (let tries = 1; tries <= 12; tries += 1) {
    const [event] = await claim(1)
    await deferEvents(database, [{ ...event!, reason: 'refused' }])
    const row = await rowOf(event!)
    expect(row).toMatchObject({ relayTries: tries, relayWaits: 0, relayError: 'refused' })
    pauses.push(Math.ceil((row.nextRelayAt.getTime() - Date.now()) / 1000))
    expect(await claim(10)).toEqual([])
    await endPauses()
  }
  expect(pauses).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600])
})

test('When events wait for a response, then they are claimed separately from the others, the one that is due longest first', async () => {
  await commit(6)
  const [a, b, ...others] = (await database.webhookEvent.findMany({ orderBy: { id: 'asc' } })) as { id: bigint }[]
  await database.$executeRaw`UPDATE webhook_events SET relay_waits = 2, next_relay_at = now() - interval '1 hour' WHERE id = ${b!.id}`
  await database.$executeRaw`UPDATE webhook_events SET relay_waits = 9, next_relay_at = now() - interval '2 hours' WHERE id = ${a!.id}`
  expect(idsOf(await claimEvents(database, { fresh: 3, withoutResponse: 1 }))).toEqual(idsOf([a!, ...others.slice(0, 3)]))
  expect(idsOf(await claimEvents(database, { fresh: 0, withoutResponse: 5 }))).toEqual([b!.id])
})

test('When pauses end because Temporal responds again, then only those of pending events that waited for a response do', async () => {
  await commit(4)
  const [waited, deferred, relayed, due] = await claim(4)
  const claims = [waited!, relayed!, due!].map(withReason)
  await recordNoResponse(database, claims)
  await deferEvents(database, [withReason(deferred!)])
  await database.$executeRaw`UPDATE webhook_events SET relay_state = 'started' WHERE id = ${relayed!.id}`
  await database.$executeRaw`UPDATE webhook_events SET next_relay_at = now() - interval '1 s', relay_waits = 5 WHERE id = ${due!.id}`
  const before = { deferred: await rowOf(deferred!), relayed: await rowOf(relayed!), due: await rowOf(due!) }
  await clearRelayWaits(database)
  expect(idsOf(await claim(10))).toEqual(idsOf([waited!, due!]))
  expect(await rowOf(deferred!)).toEqual(before.deferred)
  expect(await rowOf(relayed!)).toEqual(before.relayed)
  expect((await rowOf(due!)).nextRelayAt).toEqual(before.due.nextRelayAt)
})

describe('When the relay claims events', () => {
  const claimAll = async () => new Map((await claim(1000)).map((event) => [event.callSid, event]))
  const record = (route: WebhookRoute, fields: Record<string, string>) => recordWebhook(database, route, fields)
  const conclude = (callSid: CallSid, outcome: Outcome, named: { sourceUrl?: string } = {}) =>
    concludeRecording(database, { callSid, outcome, ...named }, { attempt: `${callSid} ${outcome.state}`, plan: RECOVERY })
  const audio = { contentType: 'audio/mpeg', extension: 'mp3' }
  const stored: Outcome = { state: 'stored', bucket: 'b', key: 'k', url: 'https://s3/b/k', bytes: 10, sha256: 'a'.repeat(64), audio }

  test('then it does not claim an event that reports only the start of a call', async () => {
    const [starting, ended] = [newCallSid(), newCallSid()]
    await record('call-start', { CallSid: starting, Status: 'ringing' })
    await record('call-end', { CallSid: ended })
    const claimed = await claimAll()
    expect(claimed.has(starting)).toBe(false)
    expect(claimed.get(ended)).toMatchObject({ bringsNothingNew: false, relayTries: 0, relayWaits: 0 })
  })

  test('then PostgreSQL decides whether an event contains anything new', async () => {
    const [fresh, again, answered, second, gone] = [newCallSid(), newCallSid(), newCallSid(), newCallSid(), newCallSid()]
    await record('recording', { CallSid: answered, Status: 'no-answer' })
    await record('recording', { CallSid: fresh, RecordingUrl: LINK })
    await record('recording', { CallSid: again, RecordingUrl: LINK })
    await conclude(again, stored, { sourceUrl: LINK })
    await conclude(answered, { state: 'not_recorded', status: 'no-answer' })
    await record('recording', { CallSid: second, RecordingUrl: LINK })
    await conclude(second, stored, { sourceUrl: LINK })
    await record('call-end', { CallSid: gone })
    await database.call.update({ where: { callSid: gone }, data: { recordingState: 'erased' } })
    const first = await claimAll()
    expect(first.get(fresh)).toMatchObject({ bringsNothingNew: false, sourceUrls: [LINK] })
    expect(first.get(again)!.bringsNothingNew).toBe(true)
    expect(first.get(answered)!.bringsNothingNew).toBe(true)
    expect(first.get(gone)!.bringsNothingNew).toBe(true)
    await markAll()
    await record('recording', { CallSid: answered, Status: 'completed' })
    await record('recording', { CallSid: second, RecordingUrl: `${LINK}2` })
    await record('call-end', { CallSid: again, Status: 'completed' })
    const later = await claimAll()
    expect(later.get(answered)).toMatchObject({ bringsNothingNew: false, status: 'completed' })
    expect(later.get(second)!.bringsNothingNew).toBe(false)
    expect(later.get(again)!.bringsNothingNew).toBe(true)
  })

  test('then an end that arrives after "not recorded" starts a new search, whatever its status', async () => {
    const [silent, same, stays] = [newCallSid(), newCallSid(), newCallSid()]
    for (const callSid of [silent, same, stays]) {
      await record('recording', { CallSid: callSid, Status: 'busy' })
      await conclude(callSid, { state: 'not_recorded', status: 'busy' })
    }
    await markAll()
    await record('call-end', { CallSid: silent })
    await record('call-end', { CallSid: same, Status: 'busy' })
    await record('recording', { CallSid: stays, Status: 'busy', CustomField: 'x' })
    const claimed = await claimAll()
    for (const callSid of [silent, same]) {
      expect(claimed.get(callSid)).toMatchObject({ bringsNothingNew: false, searchAgain: true, endReportedAt: expect.any(Date) })
    }
    expect(claimed.get(stays)).toMatchObject({ bringsNothingNew: true, searchAgain: false, endReportedAt: null })
  })

  test('then an end that arrives after the search for a recording has failed starts a new one', async () => {
    const [searched, named] = [newCallSid(), newCallSid()]
    await record('call-end', { CallSid: searched })
    await record('recording', { CallSid: named, RecordingUrl: LINK })
    await conclude(searched, { state: 'failed', code: 'CallUnknown', error: 'unknown' })
    await conclude(named, { state: 'failed', code: 'RecordingExpired', error: 'gone' }, { sourceUrl: LINK })
    await markAll()
    for (const callSid of [searched, named]) await record('call-end', { CallSid: callSid, Status: 'busy' })
    const ends = await claimAll()
    expect(ends.get(searched)).toMatchObject({ bringsNothingNew: false, searchAgain: true })
    expect(ends.get(named)).toMatchObject({ bringsNothingNew: true, searchAgain: false })
    await markAll()
    await record('recording', { CallSid: searched, Status: 'completed' })
    expect((await claimAll()).get(searched)).toMatchObject({ bringsNothingNew: true, searchAgain: false })
  })

  test('then an event is due in the instant of its arrival, although its time is rounded to milliseconds', async () => {
    for (let i = 0; i < 20; i += 1) {
      const callSid = newCallSid()
      const claimed = await database.$transaction(async (transaction) => {
        // All statements of a transaction have the same now().
        await recordWebhook(transaction, 'call-end', { CallSid: callSid })
        return claimEvents(transaction, { fresh: 100, withoutResponse: 0 })
      })
      expect(claimed.map((event) => event.callSid)).toContain(callSid)
      await markAll()
    }
  })

  async function markAll() {
    await database.webhookEvent.updateMany({ where: { relayState: 'pending' }, data: { relayState: 'started' } })
  }
})
