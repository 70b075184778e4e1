// Answers of Exotel's API that may be about one call, or due to a wrong key, account or address. The list of calls decides.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { status } from '../support/recording-answers.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const LINK = 'https://recordings.exotel.com/a/1.mp3'

let exotel: ScriptedServer
let bench: Workbench
beforeAll(async () => {
  exotel = await startScriptedServer()
})
afterAll(() => exotel?.close())
// Each API client remembers when the list was last answered, so each test needs a new client.
beforeEach(async () => {
  bench = await openWorkbench({ apiBaseUrl: exotel.url })
})
afterEach(() => bench?.close())

const json =
  (status: number, body: object = {}): Answer =>
  (_request, response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
const page: Answer = (_request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome</html>')
const redirect: Answer = (_request, response) => response.writeHead(302, { location: 'https://exotel.com/' }).end()
const listOf = (...sids: string[]): Answer =>
  json(200, { Metadata: { Total: sids.length, NextPageUri: null }, Calls: sids.map((Sid) => ({ Sid, Status: 'completed' })) })

/** The answers to requests for a call and for the list of calls. */
function answer(call: Answer, list: Answer): void {
  exotel.script((request, response) => (request.url!.includes('/Calls.json') ? list : call)(request, response))
}
const find = () => bench.run('findRecording', { callSid: newCallSid() })
const renew = () => bench.run('renewLink', { callSid: newCallSid(), sourceUrl: LINK })
const waiting = (type: string) => ({ type, nonRetryable: false, category: 'BENIGN' })
const alarms = () => bench.alarms.active()

describe('When Exotel refuses the details of one call,', () => {
  test.each([401, 403])('and lists other calls, then %i concerns this call only, and no alarm is raised', async (code) => {
    answer(status(code), listOf(newCallSid()))
    expect(await find()).toEqual({ kind: 'unavailable', code: 'ExotelUnauthorized', reason: expect.stringContaining(`${code}`) })
    expect(await renew()).toEqual({ kind: 'refused' })
    expect(alarms()).toEqual([])
  })

  test('then the row says why the call waits', async () => {
    const callSid = newCallSid()
    await bench.owner.call.create({ data: { callSid, recordingState: 'awaiting' } })
    answer(status(403), listOf(newCallSid()))
    await bench.run('findRecording', { callSid, nextRequestAt: new Date(Date.now() + 60_000).toISOString() })
    expect(await bench.database.call.findUniqueOrThrow({ where: { callSid } })).toMatchObject({ recordingErrorCode: 'ExotelUnauthorized' })
  })

  test('and the list too, then the key is wrong, even if the list was answered just before', async () => {
    answer(json(404), listOf(newCallSid()))
    expect(await find()).toEqual({ kind: 'unknown call' })
    answer(status(403), status(403))
    for (const work of [find, renew]) await expect(work()).rejects.toMatchObject(waiting('ExotelCredentialsRefused'))
    expect(alarms()).toMatchObject([{ name: 'ExotelCredentialsRefused', reason: expect.stringContaining('EXOTEL_API_KEY') }])
  })

  test('and the list is unavailable, then nothing is concluded about the key', async () => {
    answer(status(403), status(503))
    expect(await find()).toMatchObject({ kind: 'unavailable', code: 'ExotelUnavailable' })
    expect(alarms()).toEqual([])
  })
})

test('When the key is right again and the account is wrong, then only the alarm about the account is raised', async () => {
  answer(status(403), status(403))
  await expect(find()).rejects.toMatchObject(waiting('ExotelCredentialsRefused'))
  answer(json(404), json(404))
  await expect(find()).rejects.toMatchObject(waiting('ExotelAccountNotFound'))
  expect(alarms()).toMatchObject([{ name: 'ExotelAccountNotFound' }])
})

describe('When Exotel answers 404 for each call and its list is empty,', () => {
  test('then the account is wrong: work waits with an alarm until a call is found', async () => {
    answer(json(404), listOf())
    for (const work of [find, renew]) await expect(work()).rejects.toMatchObject(waiting('ExotelAccountNotFound'))
    expect(alarms()).toMatchObject([{ name: 'ExotelAccountNotFound', reason: expect.stringContaining('EXOTEL_ACCOUNT_SID') }])
    const query = new URL(exotel.requests.find(({ url }) => url.includes('/Calls.json'))!.url, exotel.url).searchParams
    expect(query.has('DateCreated')).toBe(false) // a minute without calls would prove nothing
    answer(json(404), listOf(newCallSid()))
    expect(await find()).toEqual({ kind: 'unknown call' })
    expect(alarms()).toEqual([])
  })

  test('then a page of reconciliation without calls does not end the alarm, and one with a call does', async () => {
    answer(json(404), listOf())
    await expect(find()).rejects.toThrow()
    expect(await bench.run('sweepLinks', [newCallSid()])).toBe(0)
    expect(alarms()).toMatchObject([{ name: 'ExotelAccountNotFound' }])
    await expect(find()).rejects.toMatchObject(waiting('ExotelAccountNotFound')) // the page proves nothing about the account either
    answer(json(404), listOf(newCallSid()))
    await bench.run('sweepLinks', [newCallSid()])
    expect(alarms()).toEqual([])
  })
})

describe.each([
  ['a page with status 200', page],
  ['a redirect', redirect],
  ['400', status(400)],
  ['JSON of another service', json(200, { ok: true })],
])('When EXOTEL_API_BASE_URL leads to %s,', (_what, wrong) => {
  test('then work waits with an alarm that names the setting', async () => {
    answer(wrong, wrong)
    const sweep = () => bench.run('sweepLinks', [newCallSid()])
    for (const work of [find, renew, sweep]) await expect(work()).rejects.toMatchObject(waiting('ExotelAccountNotFound'))
    expect(alarms()).toMatchObject([{ name: 'ExotelAccountNotFound', reason: expect.stringContaining('EXOTEL_API_BASE_URL') }])
  })

  test('then this is an answer about one call only if the list is answered', async () => {
    answer(wrong, listOf(newCallSid()))
    expect(await find()).toMatchObject({ kind: 'unavailable', code: 'ExotelUnavailable' })
    expect(await renew()).toEqual({ kind: 'unavailable' })
    expect(alarms()).toEqual([])
  })
})

test('When one page of the list is not one of Exotel’s API, and the plain list is, then the page is requested again later, without an alarm', async () => {
  exotel.script((request, response) => (request.url!.includes('Sid=') ? page : listOf(newCallSid()))(request, response))
  await expect(bench.run('sweepLinks', [newCallSid()])).rejects.toMatchObject(waiting('ExotelUnavailable'))
  expect(alarms()).toEqual([])
})
