import { describe, expect, test } from '@jest/globals'
import { BadCallSid, deliveryIdentity, readCallEvent } from '../../exotel/call-event.ts'

const read = (
  fields: Record<string, never> | object,
  route: 'call-start' | 'call-end' | 'recording' = 'call-end',
  method: 'GET' | 'POST' = 'POST',
) => readCallEvent({ CallSid: 'a1', ...fields } as never, route, method)

test('When a status callback comes, then its documented fields are read', () => {
  expect(
    read({
      AccountSid: 'acc',
      Status: 'completed',
      Direction: 'inbound',
      From: '09876543210',
      To: '+918045678901',
      StartTime: '2026-11-30 23:50:00',
      EndTime: '2026-12-01 00:10:00',
      ConversationDuration: '1200',
      CustomField: 'x',
      RecordingUrl: 'https://recordings.exotel.com/a/1.mp3',
    }),
  ).toEqual({
    callSid: 'a1',
    route: 'call-end',
    accountSid: 'acc',
    status: 'completed',
    direction: 'inbound',
    from: '09876543210',
    to: '+918045678901',
    startedAt: new Date('2026-11-30T18:20:00Z'),
    endedAt: new Date('2026-11-30T18:40:00Z'),
    durationSeconds: 1200,
    customField: 'x',
    sources: [{ sourceUrl: 'https://recordings.exotel.com/a/1.mp3' }],
    ended: true,
  })
})

test('When Passthru sends its own names, then they are read too', () => {
  const event = read(
    { CallFrom: '1', CallTo: '2', CallStatus: 'Completed', DialCallDuration: '7', EndTime: '1970-01-01 05:30:00' },
    'call-end',
    'GET',
  )
  expect(event).toMatchObject({ from: '1', to: '2', status: 'completed', durationSeconds: 7, ended: true })
  expect(event).not.toHaveProperty('endedAt')
})

describe('When recordings are named in a stream, then they count beside RecordingUrl:', () => {
  const link = 'https://recordings.exotel.com/s.mp3'
  test.each([
    ['nested', { Stream: { RecordingUrl: link } }],
    ['as JSON text', { Stream: JSON.stringify({ RecordingUrl: link }) }],
  ])('%s', (_how, fields) => {
    expect(read(fields).sources).toEqual([{ sourceUrl: link }])
    expect(read({ ...fields, RecordingUrl: 'https://recordings.exotel.com/r.mp3' }).sources).toHaveLength(2)
    expect(read({ ...fields, RecordingUrl: link }).sources).toHaveLength(1)
  })

  test('broken JSON text is passed over', () => {
    expect(read({ Stream: '{"RecordingUrl":' }).sources).toEqual([])
  })
})

describe('When does a call end?', () => {
  test.each([
    ['call-end by POST without a status', 'call-end', 'POST', {}, true],
    ['call-end by GET without a status', 'call-end', 'GET', {}, false],
    ['call-end by GET in the middle', 'call-end', 'GET', { CallStatus: 'in-progress' }, false],
    ['call-start with a final status', 'call-start', 'POST', { Status: 'busy' }, true],
    ['recording with a final status', 'recording', 'POST', { Status: 'no-answer' }, true],
    ['call-start in progress', 'call-start', 'POST', { Status: 'in-progress' }, false],
    ['a status that nobody knows', 'call-start', 'POST', { Status: 'exploded' }, false],
  ] as const)('%s', (_how, route, method, fields, ended) => {
    expect(read(fields, route, method).ended).toBe(ended)
  })
})

test('When a delivery has two CallSids, then the error says so', () => {
  const read = (): unknown => readCallEvent({ CallSid: ['a1', 'b2'] }, 'call-end', 'POST')
  expect(read).toThrow(BadCallSid)
  expect(read).toThrow('CallSid is given more than once')
})

describe('When the CallSid is impossible, then the error names the field:', () => {
  test.each([
    ['missing', undefined],
    ['empty', ''],
    ['65 characters', 'a'.repeat(65)],
    ['a path', '../../etc/x'],
    ['markup', '<img src=x>'],
    ['a list', ['a', 'b']],
    ['a new line', 'a\nb'],
    ['a NUL', 'a\uFFFD'],
  ])('%s', (_how, CallSid) => {
    expect(() => readCallEvent({ CallSid } as never, 'call-end', 'POST')).toThrow(BadCallSid)
    expect(() => readCallEvent({ CallSid } as never, 'call-end', 'POST')).toThrow(/CallSid/)
  })
})

test('When odd values come in other fields, then they are left out and the event stands', () => {
  const event = read({
    From: ['x'],
    To: 'y'.repeat(501),
    ConversationDuration: '-1',
    StartTime: '0000-00-00 00:00:00',
    DateUpdated: '2026-13-40',
    Status: {},
  })
  expect(event).toEqual({ callSid: 'a1', route: 'call-end', sources: [], ended: true })
})

test('When a delivery is repeated, then it has the same identity, whatever its order and its time of sending', () => {
  const first = deliveryIdentity(
    { route: 'call-end', ended: true },
    { CallSid: 'a1', Status: 'completed', CurrentTime: '2026-11-25 10:00:00', Legs: [{ a: '1' }] },
  )
  expect(
    deliveryIdentity(
      { route: 'call-end', ended: true },
      { Legs: [{ a: '1' }], Status: 'completed', CallSid: 'a1', CurrentTime: '2026-11-25 10:00:07' },
    ),
  ).toBe(first)
  expect(deliveryIdentity({ route: 'call-start', ended: true }, { CallSid: 'a1', Status: 'completed', Legs: [{ a: '1' }] })).not.toBe(first)
  expect(deliveryIdentity({ route: 'call-end', ended: true }, { CallSid: 'a1', Status: 'busy', Legs: [{ a: '1' }] })).not.toBe(first)
})

test('When a GET in the middle of a flow and the POST of the end look the same, then they are two events', () => {
  const fields = { CallSid: 'a1' }
  const [get, post] = (['GET', 'POST'] as const).map((method) => deliveryIdentity(readCallEvent(fields, 'call-end', method), fields))
  expect(get).not.toBe(post)
})
