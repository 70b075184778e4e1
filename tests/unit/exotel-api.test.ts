import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { callSid } from '../support/servers.ts'
import {
  ExotelAccountNotFound,
  ExotelApi,
  ExotelCredentialsRefused,
  ExotelRateLimited,
  ExotelUnavailable,
} from '../../exotel/api-client.ts'
import { eventually } from '../support/eventually.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'

const DEADLINE_MS = 2000

let exotel: ScriptedServer
let api: ExotelApi
let closed: number
beforeAll(async () => {
  exotel = await startScriptedServer()
  api = new ExotelApi({ baseUrl: exotel.url, accountSid: 'account', apiKey: 'key', apiToken: 'token' }, DEADLINE_MS)
})
afterAll(() => exotel?.close())

const requestDetails = (signal: AbortSignal = new AbortController().signal) => api.callDetails(callSid('call'), signal)

function repeat(response: ServerResponse, text: string): void {
  closed = 0
  response.write(text)
  const timer = setInterval(() => response.write(text), 50)
  response.on('close', () => {
    clearInterval(timer)
    closed += 1
  })
}
const repeating =
  (status: number, text: string): Answer =>
  (_request, response) =>
    repeat(response.writeHead(status, { 'retry-after': '5' }), text)

test('When the list of calls has an unknown form, then it confirms no account, in repeated requests as well', async () => {
  exotel.script((_request, response) => response.end('{}'))
  for (const _ of [1, 2]) await expect(api.confirmAccount(new AbortController().signal)).rejects.toThrow(ExotelAccountNotFound)
})

test('When Call Details are requested with a pre-signed link, then the request contains how long the link has to be valid', async () => {
  exotel.script((_request, response) => response.end(JSON.stringify({ Call: {} })))
  await requestDetails()
  await api.callDetailsWithLink(callSid('call'), new AbortController().signal)
  const path = '/v1/Accounts/account/Calls/call.json'
  expect(exotel.requests.map(({ url }) => url)).toEqual([path, `${path}?RecordingUrlValidity=60`])
})

test.each([401, 403])('When the API responds %i, then it refuses our key', async (status) => {
  exotel.script((_request, response) => response.writeHead(status).end())
  await expect(requestDetails()).rejects.toThrow(ExotelCredentialsRefused)
  await expect(api.confirmAccount(new AbortController().signal)).rejects.toThrow(ExotelCredentialsRefused)
})

describe('When the response of the API', () => {
  test('has no headers in time, then the API is unavailable', async () => {
    exotel.script(() => {})
    await expect(requestDetails()).rejects.toThrow(ExotelUnavailable)
  })

  test('arrives very slowly, then the API is unavailable after the deadline', async () => {
    exotel.script(repeating(200, ' '))
    await expect(requestDetails()).rejects.toThrow(/cannot be read: No answer within/)
    await eventually('the connection to be closed', async () => closed === 1)
  })

  test('never ends, then the API is unavailable', async () => {
    exotel.script(repeating(200, '['.repeat(1024 ** 2)))
    await expect(requestDetails()).rejects.toThrow(/longer than/)
    await eventually('the connection to be closed', async () => closed === 1)
  })

  test('is truncated, then the API is unavailable', async () => {
    exotel.script((_request, response) => response.writeHead(200, { 'content-length': 100 }).write('{', () => response.destroy()))
    await expect(requestDetails()).rejects.toThrow(ExotelUnavailable)
  })

  test('is not JSON, then the error does not quote it', async () => {
    exotel.script((_request, response) => response.end('09876543210'))
    await expect(requestDetails()).rejects.toThrow(/^Exotel's response is not JSON$/)
  })
})

describe('When the body of an error response is very slow or never ends, then the status determines the error:', () => {
  test.each([
    ['x', 'is very slow'],
    ['x'.repeat(100_000), 'never ends'],
  ])('%#', async (text) => {
    exotel.script(repeating(404, text))
    expect(await requestDetails()).toBeUndefined()
    await eventually('the connection to be closed', async () => closed === 1)
    exotel.script(repeating(401, text))
    await expect(requestDetails()).rejects.toThrow(ExotelCredentialsRefused)
    exotel.script(repeating(429, text))
    await expect(requestDetails()).rejects.toThrow(ExotelRateLimited)
    exotel.script(repeating(500, text))
    await expect(requestDetails()).rejects.toThrow(/responded 500/)
  })
})

test('When the caller aborts, then the reason of the abort is thrown', async () => {
  const caller = new AbortController()
  const reason = new Error('stop')
  exotel.script((_request, response) => response.write('{', () => caller.abort(reason)))
  await expect(requestDetails(caller.signal)).rejects.toBe(reason)
  await expect(requestDetails(caller.signal)).rejects.toBe(reason)
})
