import { describe, expect, test } from '@jest/globals'
import { InvalidCallSid, deliveryIdentity, readCallEvent, WEBHOOK_ROUTES, type WebhookRoute } from '../../exotel/call-event.ts'

const read = (fields: object, route: WebhookRoute = 'call-end') => readCallEvent({ CallSid: 'a1', ...fields } as never, route)

test('When a status callback is received, then its documented fields are read', () => {
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

test('When the Passthru applet sends its own field names, then they are read as well', () => {
  const event = read(
    { CallFrom: '1', CallTo: '2', CallStatus: 'Completed', DialCallDuration: '7', EndTime: '1970-01-01 05:30:00' },
    'recording',
  )
  expect(event).toMatchObject({ from: '1', to: '2', status: 'completed', durationSeconds: 7, ended: true })
  expect(event).not.toHaveProperty('endedAt')
})

describe('When Stream contains a link to a recording, then it is read in addition to RecordingUrl:', () => {
  const link = 'https://recordings.exotel.com/s.mp3'
  test.each([
    ['nested', { Stream: { RecordingUrl: link } }],
    ['as JSON text', { Stream: JSON.stringify({ RecordingUrl: link }) }],
  ])('%s', (_how, fields) => {
    expect(read(fields).sources).toEqual([{ sourceUrl: link }])
    expect(read({ ...fields, RecordingUrl: 'https://recordings.exotel.com/r.mp3' }).sources).toHaveLength(2)
    expect(read({ ...fields, RecordingUrl: link }).sources).toHaveLength(1)
  })

  test('invalid JSON text is ignored', () => {
    expect(read({ Stream: '{"RecordingUrl":' }).sources).toEqual([])
  })
})

describe('When an event contains a status, then it is that of the call only if the event is about the call:', () => {
  test.each<[string, WebhookRoute, object, string | undefined]>([
    ['a status callback', 'call-end', { EventType: 'terminal', Status: 'no-answer' }, 'no-answer'],
    ['a status callback without EventType', 'recording', { Status: 'Busy' }, 'busy'],
    ['a call that was answered', 'call-end', { EventType: 'answered', Status: 'in-progress', CallStatus: 'in-progress' }, 'in-progress'],
    ['an answered event with a final status', 'call-end', { EventType: 'answered', Status: 'completed' }, undefined],
    ["an agent's line while it rings", 'call-start', { EventType: 'Dial', Status: 'busy', DialWhomNumber: '09811111111' }, undefined],
    ["an agent's line, on call-end", 'call-end', { EventType: 'Dial', Status: 'busy', DialWhomNumber: '09811111111' }, undefined],
    ["the end of an agent's leg", 'recording', { EventType: 'Terminal', Status: 'busy', DialWhomNumber: '09811111111' }, undefined],
    ['an unknown event type', 'call-end', { EventType: 'hangup', Status: 'failed' }, undefined],
    ['a final status on call-start', 'call-start', { Status: 'busy' }, undefined],
    ['a final CallStatus on call-start', 'call-start', { CallStatus: 'completed', CallType: 'completed' }, undefined],
    ['a running status on call-start', 'call-start', { Status: 'in-progress' }, 'in-progress'],
    ['CallStatus if Status is missing', 'call-end', { CallStatus: 'canceled' }, 'canceled'],
    ['Status before CallStatus', 'call-end', { Status: 'busy', CallStatus: 'completed' }, 'busy'],
    ['CallStatus if Status is unknown', 'call-end', { Status: 'free', CallStatus: 'no-answer' }, 'no-answer'],
    ['CallStatus before CallType', 'call-end', { CallStatus: 'no-answer', CallType: 'completed' }, 'no-answer'],
    ['a conversation by CallType', 'call-end', { CallType: 'completed', DialCallStatus: 'busy' }, 'completed'],
    ['a message by CallType', 'call-end', { CallType: 'voicemail' }, 'completed'],
    ['CallType call-attempt', 'call-end', { CallType: 'call-attempt' }, undefined],
    ['CallType client-hangup', 'call-end', { CallType: 'client-hangup' }, undefined],
    ['CallType incomplete', 'call-end', { CallType: 'incomplete' }, undefined],
    ['a completed leg', 'call-end', { DialCallStatus: 'completed' }, 'completed'],
    ['a leg that was busy', 'call-end', { DialCallStatus: 'busy' }, undefined],
    ['a leg that failed', 'recording', { DialCallStatus: 'failed' }, undefined],
    ['an unknown status', 'call-end', { Status: 'exploded' }, undefined],
    ['an empty status', 'call-end', { Status: '', CallStatus: 'completed' }, 'completed'],
  ])('%s', (_how, route, fields, status) => {
    expect(read(fields, route).status).toBe(status)
  })
})

describe('Whether an event ends the call:', () => {
  const FINAL = { Status: 'completed', CallStatus: 'completed', CallType: 'completed', DialCallStatus: 'completed' }
  test.each<[string, WebhookRoute, object, boolean]>([
    ['call-end without a status', 'call-end', {}, true],
    ['call-end with the status in-progress', 'call-end', { CallStatus: 'in-progress' }, true],
    ['call-end about a leg', 'call-end', { EventType: 'Dial', Status: 'busy' }, true],
    ['call-start with every final status', 'call-start', FINAL, false],
    ['recording with a final status', 'recording', { Status: 'no-answer' }, true],
    ['recording with a completed leg', 'recording', { DialCallStatus: 'completed' }, true],
    ['recording with a leg that was busy', 'recording', { DialCallStatus: 'busy' }, false],
    ['recording about a leg', 'recording', { EventType: 'Dial', ...FINAL }, false],
    ['recording without a status', 'recording', {}, false],
  ])('%s', (_how, route, fields, ended) => {
    expect(read(fields, route).ended).toBe(ended)
  })
})

describe('When a time or duration belongs to a leg, then it is not that of the call:', () => {
  const TIMES = { EndTime: '2026-11-25 10:05:00', DateUpdated: '2026-11-25 10:06:00' }
  test.each<[string, WebhookRoute, object]>([
    ['call-start', 'call-start', { ...TIMES, Status: 'completed' }],
    ["an agent's leg", 'call-end', { ...TIMES, EventType: 'Dial', Status: 'busy' }],
    ['the time of a status that is not final', 'call-end', { DateUpdated: TIMES.DateUpdated, Status: 'in-progress' }],
  ])('%s', (_how, route, fields) => {
    expect(read(fields, route)).not.toHaveProperty('endedAt')
  })

  test.each<[WebhookRoute, object]>([
    ['call-start', { Status: 'completed' }],
    ['call-end', { EventType: 'Dial', Status: 'busy' }],
  ])('the durations of %s %j', (route, fields) => {
    const durations = { ConversationDuration: '73', DialCallDuration: '80', RecordingDuration: '70' }
    expect(read({ ...fields, ...durations }, route)).not.toHaveProperty('durationSeconds')
  })

  test('the ringing time of a call that was not answered', () => {
    expect(read({ DialCallStatus: 'no-answer', DialCallDuration: '31' })).not.toHaveProperty('durationSeconds')
    expect(read({ CallType: 'completed', DialCallDuration: '31' })).toHaveProperty('durationSeconds', 31)
  })
})

test('When an event contains several durations or ends of the call, then the most exact one counts', () => {
  const durations = { CallType: 'completed', ConversationDuration: '73', DialCallDuration: '80', RecordingDuration: '70' }
  expect(read(durations).durationSeconds).toBe(73)
  expect(read({ ...durations, ConversationDuration: '' }).durationSeconds).toBe(80)
  expect(read({ RecordingDuration: '70' }).durationSeconds).toBe(70)
  const ends = { Status: 'completed', EndTime: '2026-11-25 10:05:00', DateUpdated: '2026-11-25 10:06:00' }
  expect(read(ends).endedAt).toEqual(new Date('2026-11-25T04:35:00Z'))
})

test('When a list of links is sent as RecordingUrl, then each is a recording', () => {
  const links = ['https://recordings.exotel.com/1.mp3', 'https://recordings.exotel.com/2.mp3']
  expect(read({ RecordingUrl: [...links, links[0]] }).sources).toEqual(links.map((sourceUrl) => ({ sourceUrl })))
})

test('When a delivery has two CallSids, then the error says that CallSid is given more than once', () => {
  const read = (): unknown => readCallEvent({ CallSid: ['a1', 'b2'] }, 'call-end')
  expect(read).toThrow(InvalidCallSid)
  expect(read).toThrow('CallSid is given more than once')
})

describe('When the CallSid is invalid, then the error names the field:', () => {
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
    expect(() => readCallEvent({ CallSid } as never, 'call-end')).toThrow(InvalidCallSid)
    expect(() => readCallEvent({ CallSid } as never, 'call-end')).toThrow(/CallSid/)
  })
})

test('When other fields have invalid values, then they are ignored, and the event is read', () => {
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

test('When a delivery is repeated in another order or at another time, then it has the same identity', () => {
  const fields = { CallSid: 'a1', Status: 'completed', Legs: [{ a: '1' }] }
  const first = deliveryIdentity('call-end', { ...fields, CurrentTime: '2026-11-25 10:00:00' })
  const reordered = Object.fromEntries(Object.entries(fields).toReversed())
  expect(deliveryIdentity('call-end', { ...reordered, CurrentTime: '2026-11-25 10:00:07' })).toBe(first)
  expect(deliveryIdentity('call-end', { ...fields, Status: 'busy' })).not.toBe(first)
  expect(new Set(WEBHOOK_ROUTES.map((route) => deliveryIdentity(route, fields))).size).toBe(3)
})
