// What the client of Exotel's API sends, how long it waits, and which answers prove that the account exists.
import { afterAll, beforeAll, beforeEach, expect, jest, test } from '@jest/globals'
import { ExotelApi, ExotelUnavailable } from '../../exotel/api-client.ts'
import { eventually } from '../support/eventually.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { callSid } from '../support/servers.ts'

const signal = new AbortController().signal
/** All except setTimeout and clearTimeout, with which the client measures its deadline. */
const REAL_TIMERS = [
  ...(['Date', 'hrtime', 'nextTick', 'performance', 'queueMicrotask'] as const),
  ...(['setImmediate', 'clearImmediate', 'setInterval', 'clearInterval'] as const),
]

let exotel: ScriptedServer
let api: ExotelApi
beforeAll(async () => {
  exotel = await startScriptedServer()
})
afterAll(() => exotel?.close())
beforeEach(() => {
  api = new ExotelApi({ baseUrl: exotel.url, accountSid: 'account', apiKey: 'key', apiToken: 'token' })
})

const listOf =
  (...Calls: object[]): Answer =>
  (_request, response) =>
    response.end(JSON.stringify({ Metadata: { NextPageUri: null }, Calls }))

test('When Call Details are requested, then the request has our key, and asks for a body that is not compressed', async () => {
  exotel.script((_request, response) => response.end('{"Call":{}}'))
  await api.callDetails(callSid('call'), signal)
  const authorization = `Basic ${Buffer.from('key:token').toString('base64')}`
  expect(exotel.requests[0]!.headers).toMatchObject({ authorization, accept: 'application/json', 'accept-encoding': 'identity' })
})

test('When calls are listed, then a page has 100 of them, the oldest first', async () => {
  exotel.script(listOf())
  await api.listCalls({ kind: 'calls', callSids: [callSid('a'), callSid('b')] }, undefined, signal)
  const query = new URL(exotel.requests[0]!.url, exotel.url).searchParams
  expect(Object.fromEntries(query)).toEqual({ PageSize: '100', SortBy: 'DateCreated:asc', Sid: 'a,b' })
})

test('When the API does not respond, then the request ends after 15 s', async () => {
  let arrived = false
  exotel.script(() => void (arrived = true))
  jest.useFakeTimers({ doNotFake: REAL_TIMERS })
  try {
    let error: unknown
    void api.callDetails(callSid('call'), signal).catch((thrown: unknown) => (error = thrown))
    await eventually('the request to arrive', async () => arrived)
    jest.advanceTimersByTime(15_000)
    await eventually('the request to end', async () => error, 2000)
    expect(error).toBeInstanceOf(ExotelUnavailable)
  } finally {
    jest.useRealTimers()
  }
})

test('When the list of calls was answered more than a minute ago, then it is requested again to confirm the account', async () => {
  exotel.script(listOf({ Sid: 'a', Status: 'completed' }))
  await api.confirmAccount(signal)
  await api.confirmAccount(signal)
  expect(exotel.requests).toHaveLength(1)
  const later = jest.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_001)
  await api.confirmAccount(signal).finally(() => later.mockRestore())
  expect(exotel.requests).toHaveLength(2)
})

test('When the list contains only entries without a usable Sid, then the account exists nevertheless', async () => {
  exotel.script(listOf({ Sid: '../x' }))
  await expect(api.confirmAccount(signal)).resolves.toBeUndefined()
})
