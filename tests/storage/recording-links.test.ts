// Which links of a recording are requested, with our key or without it, and what follows from their answers.
import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { nameRecording } from '../../calls/recording-facts.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { status, wholeOf } from '../support/recording-answers.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const BYTES = randomBytes(3 * 1024 ** 2)
const SHA256 = createHash('sha256').update(BYTES).digest('hex')

let exotel: ScriptedServer
let bench: Workbench
let source: { callSid: CallSid; sourceUrl: string }
beforeAll(async () => {
  exotel = await startScriptedServer()
  bench = await openWorkbench()
})
afterAll(async () => {
  await bench?.close()
  await exotel?.close()
})
beforeEach(() => {
  source = { callSid: newCallSid(), sourceUrl: `${exotel.url}/recordings/1.mp3` }
})

const download = () => bench.run('downloadRecording', source)

const whole = wholeOf(BYTES, { etag: '"v1"' })
const failure = (type: string, more: object = {}) => expect.objectContaining({ type, ...more })

describe('When Exotel does not send a recording, then the failure has the matching code:', () => {
  test.each([
    ['404', status(404), 'RecordingNotFound'],
    ['202', status(202), 'RecordingNotFound'],
    ['processing', status(200, { 'content-type': 'application/json' }, '{"state":"processing"}'), 'RecordingNotFound'],
    ['expired', status(200, { 'content-type': 'application/json' }, '{"state":"expired"}'), 'RecordingExpired'],
    [
      'processing, without a length',
      (_request, response) => response.writeHead(200).end('\n {"status": "processing"}'),
      'RecordingNotFound',
    ],
    ['processing, labelled as audio', status(200, { 'content-type': 'audio/mpeg' }, '{"state":"processing"}'), 'RecordingNotFound'],
    [
      'processing, behind another status',
      status(200, { 'content-type': 'application/json' }, '{"status":"success","recording_state":"processing"}'),
      'RecordingNotFound',
    ],
    ['some JSON', status(200, { 'content-type': 'application/json' }, '{"a":1}'), 'RecordingInvalid'],
    ['410', status(410), 'RecordingExpired'],
    ['401', status(401), 'ExotelUnauthorized'],
    ['403', status(403), 'ExotelUnauthorized'],
    ['500', status(500), 'ExotelUnavailable'],
    ['an invalid HTTP response', ((request) => request.socket.end('HTTP/1.1 banana\r\n\r\n')) as Answer, 'ExotelUnavailable'],
    ['no response', ((request) => request.socket.destroy()) as Answer, 'ExotelUnavailable'],
    ['a redirect loop', status(302, { location: '/again' }), 'ExotelUnavailable'],
    ['a redirect to the metadata service', status(302, { location: 'http://169.254.169.254/' }), 'ExotelUnavailable'],
    ['a redirect to a file URL', status(302, { location: 'file:///etc/passwd' }), 'ExotelUnavailable'],
  ])('%s', async (_how, answer, type) => {
    exotel.script(answer)
    await expect(download()).rejects.toEqual(failure(type, { nonRetryable: true }))
  })

  test('429 ends the attempt, and the details contain Retry-After for the workflow', async () => {
    exotel.script(status(429, { 'retry-after': '7' }))
    await expect(download()).rejects.toEqual(
      failure('ExotelRateLimited', { nonRetryable: true, details: [expect.objectContaining({ retryAfterMs: 7000 })] }),
    )
  })

  test('503 ends the attempt, and the details contain Retry-After for the workflow', async () => {
    exotel.script(status(503, { 'retry-after': '30' }))
    await expect(download()).rejects.toEqual(failure('ExotelUnavailable', { details: [expect.objectContaining({ retryAfterMs: 30_000 })] }))
  })
})

test('When a redirect leads to another host, then our key is not sent to it', async () => {
  const elsewhere = await startScriptedServer()
  try {
    elsewhere.script(whole)
    exotel.script(status(302, { location: elsewhere.url.replace('127.0.0.1', 'localhost') }))
    expect(await download()).toMatchObject({ sha256: SHA256 })
    expect(elsewhere.requests[0]!.headers.authorization).toBeUndefined()
  } finally {
    await elsewhere.close()
  }
})

test('When a host is not allowed, then no request is sent, and an alarm is raised', async () => {
  source = { ...source, sourceUrl: exotel.url.replace('127.0.0.1', 'localhost') }
  exotel.script(whole)
  await expect(download()).rejects.toEqual(failure('RecordingHostNotAllowed'))
  expect(exotel.requests).toEqual([])
  expect(bench.alarms.active()).toMatchObject([{ name: 'RecordingHostNotAllowed' }])
})

test('When a host is not allowed, then successful downloads of other calls do not clear its alarm', async () => {
  const good = { ...source }
  exotel.script(whole)
  await expect(bench.run('downloadRecording', { ...source, sourceUrl: exotel.url.replace('127.0.0.1', 'localhost') })).rejects.toThrow()
  await bench.run('downloadRecording', good)
  expect(bench.alarms.active()).toMatchObject([{ name: 'RecordingHostNotAllowed' }])
})

test('When the row has a pre-signed link, then it is requested first, without our key, and the plain link after a refusal', async () => {
  await nameRecording(bench.database, source.callSid, {
    sourceUrl: source.sourceUrl,
    fetchUrl: `${exotel.url.replace('127.0.0.1', 'localhost')}/p?Signature=1`,
  })
  exotel.script(status(403), whole)
  expect(await download()).toMatchObject({ sha256: SHA256 })
  expect(exotel.requests.map(({ url, headers }) => [url, headers.authorization !== undefined])).toEqual([
    ['/p?Signature=1', false],
    ['/recordings/1.mp3', true],
  ])
})
