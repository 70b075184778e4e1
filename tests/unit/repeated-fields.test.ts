import { describe, expect, test } from '@jest/globals'
import { readCallEvent, type CallEvent, type WebhookRoute } from '../../exotel/call-event.ts'
import { decodeBody, decodeForm } from '../../exotel/decode-fields.ts'

const form = (text: string, route: WebhookRoute = 'call-end'): CallEvent => readCallEvent(decodeForm(`CallSid=a1&${text}`), route)
const json = async (text: string): Promise<CallEvent> =>
  readCallEvent(await decodeBody(Buffer.from(`{"CallSid":"a1",${text}}`), 'application/json'), 'call-end')
const linksOf = ({ sources }: CallEvent): string[] => sources.map(({ sourceUrl }) => sourceUrl)

const A = 'https://recordings.exotel.com/a.mp3'
const B = 'https://recordings.exotel.com/b.mp3'

describe('When one value of a field names a leg, then the event is about the leg, and its status is not that of the call:', () => {
  test.each([
    'EventType=Dial&EventType=Dial&Status=busy',
    'EventType=terminal&EventType=Dial&Status=busy',
    'EventType[0]=Dial&Status=busy',
    'EventType[a]=answered&Status=completed',
    `EventType=${'x'.repeat(501)}&Status=busy`,
    'EventType=terminal&DialWhomNumber=0981&DialWhomNumber=0982&Status=busy',
    'DialWhomNumber=0981&Status=busy',
    'DialWhomNumber=0981&Status=busy&Status=busy&CallStatus=busy',
  ])('%s', (fields) => {
    const times = 'EndTime=2026-11-25 10:05:00&ConversationDuration=73'
    expect({ ...form(`${fields}&${times}`, 'recording'), dialledNumber: undefined }).toEqual({
      callSid: 'a1',
      route: 'recording',
      sources: [],
      ended: false,
    })
    expect({ ...form(`${fields}&${times}`, 'call-end'), dialledNumber: undefined }).toEqual({
      callSid: 'a1',
      route: 'call-end',
      sources: [],
      ended: true,
    })
  })
})

describe('When no value of a field names a leg, then the event is about the call:', () => {
  test.each([
    ['EventType=terminal&EventType=Terminal&Status=busy', 'busy'],
    ['EventType=&EventType= &Status=busy', 'busy'],
    ['EventType=&DialWhomNumber=&Status=busy', 'busy'],
    ['DialWhomNumber=0981&CallStatus=no-answer', 'no-answer'],
    ['DialWhomNumber=0981&CallType=completed&Status=', 'completed'],
  ])('%s', (fields, status) => {
    expect(form(fields, 'recording')).toMatchObject({ status, ended: true })
  })
})

describe('When links are given in any notation, then each of them is a recording:', () => {
  test.each([
    ['two Streams with JSON text', `Stream={"RecordingUrl":"${A}"}&Stream={"RecordingUrl":"${B}"}`],
    ['JSON text with a list', `Stream=[{"RecordingUrl":"${A}"},{"RecordingUrl":"${B}"}]`],
    ['JSON text that repeats a name', `Stream={"RecordingUrl":"${A}","RecordingUrl":"${B}"}`],
    ['a list of Streams', `Stream[0][RecordingUrl]=${A}&Stream[1][RecordingUrl]=${B}`],
    ['named Streams', `Stream[x][RecordingUrl]=${A}&Stream[y][RecordingUrl][]=${B}`],
    ['dots', `Stream.RecordingUrl=${A}&RecordingUrl.0=${B}`],
    ['dots and an index', `Stream.0.RecordingUrl=${A}&Stream.1.RecordingUrl=${B}`],
    ['brackets and dots', `Stream[0].RecordingUrl=${A}&Stream%5B1%5D.x.RecordingUrl=${B}`],
    ['nested fields of RecordingUrl', `RecordingUrl[a]=${A}&RecordingUrl[b][c]=${B}`],
    ['a text and a nested field', `RecordingUrl=${A}&RecordingUrl[b]=${B}`],
    ['a text and Stream in two notations', `RecordingUrl=${A}&Stream.RecordingUrl=${B}&Stream={"RecordingUrl":"${A}"}`],
  ])('%s', (_how, fields) => {
    expect(linksOf(form(fields))).toEqual([A, B])
  })

  test('names that only resemble those of links are not read', () => {
    expect(linksOf(form(`Stream.Url=${A}&Stream[Status]=${A}&PreRecordingUrl=${A}&RecordingUrlX=${B}&Legs[0][RecordingUrl]=${B}`))).toEqual(
      [],
    )
  })

  test.each(['{"RecordingUrl":', `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`])('unreadable text in Stream is ignored', (Stream) => {
    expect(linksOf(readCallEvent({ CallSid: 'a1', RecordingUrl: A, Stream }, 'call-end'))).toEqual([A])
  })
})

describe('When a JSON body contains a name several times, then each value counts, as in a form:', () => {
  test('two links', async () => {
    expect(linksOf(await json(`"RecordingUrl":"${A}","RecordingUrl":"${B}"`))).toEqual([A, B])
  })

  test('two Streams, one with a dot', async () => {
    expect(linksOf(await json(`"Stream":{"RecordingUrl":"${A}"},"Stream.RecordingUrl":"${B}"`))).toEqual([A, B])
  })

  test('two event types', async () => {
    expect(await json('"EventType":"Dial","EventType":"terminal","Status":"busy"')).not.toHaveProperty('status')
  })

  test('two CallSids are an error', async () => {
    await expect(json('"CallSid":"b2"')).rejects.toThrow('CallSid is given more than once')
  })

  test('the values of other names are as JSON.parse reads them', async () => {
    const body = '{"a":1,"b":[true,null,{"c":"\\u00e9\\n"}],"d":{"e":-1.5e3,"e":"x"},"f":{}}'
    expect(await decodeBody(Buffer.from(body), 'application/json')).toEqual({
      a: '1',
      b: ['true', '', { c: 'é\n' }],
      d: { e: ['-1500', 'x'] },
      f: {},
    })
  })
})
