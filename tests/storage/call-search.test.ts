// Which calls a list with filters contains, and in which order.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { fillCallSearch } from '../../calls/call-search.ts'
import { listCalls, type CallFilters, type CallPosition } from '../../calls/list-calls.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
import { formatExotelTime } from '../../exotel/time.ts'
import { recordWebhook } from '../support/record-webhook.ts'
import { callSid, newCallSid, openDatabase, type OpenDatabase } from '../support/servers.ts'

let opened: OpenDatabase
beforeAll(async () => {
  opened = await openDatabase()
})
beforeEach(() => opened.owner.$executeRaw`TRUNCATE calls, recordings, recording_attempts, webhook_events CASCADE`)
afterAll(() => opened?.close())

const HOUR_MS = 3600_000
const hoursAgo = (hours: number) => new Date(Date.now() - hours * HOUR_MS)
const found = async (filters: CallFilters) => (await listCalls(opened.database, filters, { limit: 100 })).map(({ callSid }) => callSid)

/** Records the end of a call. @returns its CallSid */
async function ended(fields: Record<string, string> = {}): Promise<CallSid> {
  const sid = newCallSid()
  await recordWebhook(opened.database, 'call-end', { CallSid: sid, Status: 'completed', ...fields })
  return sid
}

describe('When a call is searched by a phone number,', () => {
  const SPELLINGS = ['09812345678', '+919812345678', '919812345678', '00919812345678', '0919812345678', '98123 45678', '+91 (98123)-45678']

  test('then every spelling finds the calls with every spelling, of both parties, and no other call', async () => {
    const own = [
      ...(await Promise.all(SPELLINGS.map((From) => ended({ From, To: '08045678901' })))),
      ...(await Promise.all(SPELLINGS.map((To) => ended({ From: '08045678901', To })))),
    ]
    for (const From of ['09812345679', '19812345678', '+449812345678', '5678', 'sip:9812345678@example.com']) await ended({ From })
    for (const phone of SPELLINGS) expect((await found({ phone })).toSorted()).toEqual(own.toSorted())
  })

  test.each([
    ['a landline', '02249360000', ['2249360000', '+912249360000']],
    ['a toll-free number', '1800 123 4567', ['18001234567']],
    ['a foreign number', '+1 415 555 2671', ['14155552671', '0014155552671']],
  ])('then %s is found in its spellings', async (_what, stored, spellings) => {
    const sid = await ended({ From: stored })
    for (const phone of [stored, ...spellings]) expect(await found({ phone })).toEqual([sid])
  })

  test('then a few digits are compared with the end of the number', async () => {
    const [one, other] = [await ended({ From: '09812345678' }), await ended({ To: '+14155555678' })]
    await ended({ From: '05678123456' })
    expect((await found({ phone: '5678' })).toSorted()).toEqual([one, other].toSorted())
    expect(await found({ phone: '2345678' })).toEqual([one])
    expect(await found({ phone: '345679' })).toEqual([])
  })

  test('then a call from a number to itself is found once', async () => {
    const sid = await ended({ From: '09812345678', To: '9812345678' })
    expect(await found({ phone: '5678' })).toEqual([sid])
  })
})

describe('When the events of a call name its parties,', () => {
  const partiesOf = async (sid: CallSid) =>
    opened.database.call.findUniqueOrThrow({ where: { callSid: sid }, select: { agentNumber: true, exophone: true } })

  test.each([
    ['an inbound call', { Direction: 'inbound', From: '09811111111', To: '08045678901' }, null, '918045678901'],
    [
      'a call flow that has dialled an agent',
      { Direction: 'incoming', CallFrom: '09811111111', CallTo: '08045678901', DialWhomNumber: '09822222222' },
      '919822222222',
      '918045678901',
    ],
    [
      'an outbound call',
      { Direction: 'outbound-api', From: '09822222222', To: '09811111111', PhoneNumberSid: '+918045678901' },
      '919822222222',
      '918045678901',
    ],
    ['a call of an unknown direction', { From: '09811111111', To: '09822222222' }, null, null],
  ])('then the agent and the ExoPhone of %s are known', async (_what, fields, agentNumber, exophone) => {
    expect(await partiesOf(await ended(fields as unknown as Record<string, string>))).toEqual({ agentNumber, exophone })
  })

  test('then calls are found by them in any spelling', async () => {
    const sid = await ended({ Direction: 'outbound-dial', From: '09822222222', PhoneNumberSid: '08045678901' })
    await ended({ Direction: 'outbound-dial', From: '09833333333', PhoneNumberSid: '08045678902' })
    expect(await found({ agent: '+91 98222 22222' })).toEqual([sid])
    expect(await found({ exophone: '8045678901' })).toEqual([sid])
  })
})

test('When calls were recorded by an earlier version, then filling makes their rows equal to those of this version, the newest first', async () => {
  const startedAt = new Date(Math.floor(hoursAgo(5).getTime() / 1000) * 1000)
  const fields = {
    Direction: 'incoming',
    From: '09811111111',
    To: '08045678901',
    DialWhomNumber: '09822222222',
    StartTime: formatExotelTime(startedAt),
  }
  const events: [Parameters<typeof recordWebhook>[1], Record<string, string>][] = [
    ['call-start', { ...fields, PhoneNumberSid: '' }],
    ['call-end', { Status: 'completed', Direction: 'outbound-dial', From: '09833333333', PhoneNumberSid: '8045678902' }],
  ]
  const sids = [newCallSid(), newCallSid(), newCallSid()]
  for (const sid of sids) for (const [route, each] of events) await recordWebhook(opened.database, route, { ...each, CallSid: sid })
  const [expected, old, older] = sids as [CallSid, CallSid, CallSid]
  await opened.owner.$executeRaw`
    UPDATE calls SET from_reversed = NULL, to_reversed = NULL, call_time = NULL, agent_number = NULL, exophone = NULL, search_filled = false
    WHERE call_sid <> ${expected}`
  await opened.owner.$executeRaw`UPDATE calls SET created_at = now() - interval '1 hour' WHERE call_sid = ${older}`
  expect(await found({})).toEqual([expected])

  expect(await fillCallSearch(opened.database, 1)).toBe(1)
  expect((await found({})).toSorted()).toEqual([expected, old].toSorted())
  expect(await fillCallSearch(opened.database, 10)).toBe(1)
  expect(await fillCallSearch(opened.database, 10)).toBe(0)
  const rows = await opened.database.$queryRaw<object[]>`
    SELECT DISTINCT from_reversed, to_reversed, call_time, agent_number, exophone, search_filled FROM calls`
  expect(rows).toEqual([
    {
      from_reversed: '111111118919', // of the two numbers, the first one in byte order
      to_reversed: '109876540819',
      call_time: startedAt,
      agent_number: '919822222222',
      exophone: '918045678901',
      search_filled: true,
    },
  ])
})

describe('When calls are filtered,', () => {
  const call = (sid: string, data: object) => opened.owner.call.create({ data: { callSid: callSid(sid), ...data } })
  const failure = (recordingErrorCode: string) => ({ recordingState: 'failed', recordingError: 'x', recordingErrorCode })

  beforeEach(async () => {
    await call('a', {
      startedAt: hoursAgo(1),
      direction: 'inbound',
      durationSeconds: 10,
      customField: 'order 7',
      ...failure('RecordingMissing'),
    })
    await call('b', { startedAt: hoursAgo(2), direction: 'incoming', durationSeconds: 60, recordingState: 'awaiting' })
    await call('c', { startedAt: hoursAgo(3), direction: 'outbound-api', durationSeconds: 61, ...failure('RecordingExpired') })
    await call('d', { endedAt: hoursAgo(4), customField: "'; DROP TABLE calls; --" })
  })

  test.each([
    [{}, 'a b c d'],
    [{ state: 'failed' }, 'a c'],
    [{ errorCode: 'RecordingExpired' }, 'c'],
    [{ state: 'failed', direction: 'inbound' as const }, 'a'],
    [{ direction: 'inbound' as const }, 'a b'],
    [{ direction: 'outbound' as const }, 'c'],
    [{ minSeconds: 60 }, 'b c'],
    [{ minSeconds: 11, maxSeconds: 60 }, 'b'],
    [{ customField: 'order 7' }, 'a'],
    [{ customField: "'; DROP TABLE calls; --" }, 'd'],
    [{ callSid: 'b' }, 'b'],
    [{ state: 'stored' }, ''],
    [{ phone: '5678' }, ''],
  ])('by %j, then the list has %j', async (filters, expected) => {
    expect((await found(filters)).join(' ')).toBe(expected)
  })

  test('by time, then the first instant is part of the list, and the last one is not', async () => {
    const times = (await listCalls(opened.database, {}, { limit: 100 })).map(({ time }) => time)
    expect(await found({ from: times[2]!, to: times[0]! })).toEqual(['b', 'c'])
  })
})

test('When the start of a call is not plausible, then its place in the list follows from its end or its arrival', async () => {
  await opened.owner.call.create({ data: { callSid: 'future', startedAt: new Date('2042-01-01T00:00:00Z'), endedAt: hoursAgo(1) } })
  await opened.owner.call.create({ data: { callSid: 'ancient', startedAt: new Date('2011-01-01T00:00:00Z') } })
  await opened.owner.call.create({ data: { callSid: 'usual', startedAt: hoursAgo(2) } })
  expect(await found({})).toEqual(['ancient', 'future', 'usual'])
})

test('When the list is read in pages, then each call is on one page, also if many calls have the same time and new ones arrive', async () => {
  const startedAt = hoursAgo(1)
  for (let n = 0; n < 25; n += 1)
    await opened.owner.call.create({ data: { callSid: newCallSid(), startedAt: n % 5 === 0 ? hoursAgo(2) : startedAt } })
  const whole = await found({})
  const seen: string[] = []
  let after: CallPosition | undefined
  do {
    const page = await listCalls(opened.database, {}, { after, limit: 4 })
    seen.push(...page.map(({ callSid }) => callSid))
    after = page.at(-1)
    await opened.owner.call.create({ data: { callSid: newCallSid() } })
  } while (after)
  expect(seen).toEqual(whole)
})
