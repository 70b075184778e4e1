import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { eventually } from '../support/eventually.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { startScriptedServer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const LINK = 'https://recordings.exotel.com/a/1.mp3'

let exotel: ScriptedServer
let bench: Workbench
beforeAll(async () => {
  exotel = await startScriptedServer()
})
afterAll(() => exotel?.close())

/** The responses of Exotel's API to requests for a call and for the list of calls. */
function answer(call: [number, object?], list: [number, object?]): void {
  exotel.script((request, response) => {
    const [status, body] = request.url!.includes('/Calls.json') ? list : call
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? {}))
  })
}
/** Proves that the account is right. */
const OTHER_CALL = { Metadata: { Total: 1, NextPageUri: null }, Calls: [{ Sid: newCallSid(), Status: 'completed' }] }
const details = (call: object): [number, object] => [200, { Call: { Sid: 'x', ...call } }]
const requests = (): string[] => exotel.requests.map(({ url }) => (url.includes('/Calls.json') ? 'list' : 'call'))
const alarmNames = (): string[] => bench.alarms.active().map(({ name }) => name)

// Each API client remembers when the list was last answered, so each test needs a new client.
const openBench = async (): Promise<void> => {
  bench = await openWorkbench({ apiBaseUrl: exotel.url })
}
afterEach(() => bench?.close())

describe('When Exotel answers 404 for a call,', () => {
  test('then the list of calls decides whether the account is correct: if the list is answered, the call is unknown', async () => {
    await openBench()
    answer([404], [200, OTHER_CALL])
    expect(await bench.run('findRecording', { callSid: newCallSid() })).toEqual({ kind: 'unknown call' })
    expect(requests()).toEqual(['call', 'list'])
    expect(alarmNames()).toEqual([])
    expect(await bench.run('findRecording', { callSid: newCallSid() })).toEqual({ kind: 'unknown call' })
    expect(requests()).toEqual(['call', 'list', 'call']) // the list was answered recently, so it is not requested again
  })

  test.each([
    ['findRecording', 404, 'ExotelAccountNotFound', /EXOTEL_API_BASE_URL .* EXOTEL_ACCOUNT_SID/],
    ['findRecording', 401, 'ExotelCredentialsRefused', /EXOTEL_API_KEY/],
    ['renewLink', 404, 'ExotelAccountNotFound', /EXOTEL_API_BASE_URL .* EXOTEL_ACCOUNT_SID/],
  ] as const)('then %s waits with an alarm if the list is answered with %i', async (name, status, code, text) => {
    await openBench()
    answer([404], [status])
    const work = bench.run(name, { callSid: newCallSid(), sourceUrl: LINK })
    await expect(work).rejects.toMatchObject({ type: code, nonRetryable: false })
    expect(bench.alarms.active()).toMatchObject([{ name: code, reason: expect.stringMatching(text) }])
    answer([404], [200, OTHER_CALL])
    await bench.run(name, { callSid: newCallSid(), sourceUrl: LINK })
    expect(alarmNames()).toEqual([])
  })

  test('then the activity waits if the list is not answered', async () => {
    await openBench()
    answer([404], [503])
    expect(await bench.run('findRecording', { callSid: newCallSid() })).toMatchObject({ kind: 'unavailable' })
  })
})

test('When Exotel does not know a call yet, then its row has the time of the next request', async () => {
  await openBench()
  const callSid = newCallSid()
  await bench.owner.call.create({ data: { callSid, recordingState: 'awaiting' } })
  answer([404], [200, OTHER_CALL])
  const nextRequestAt = new Date(Date.now() + 60_000).toISOString()
  expect(await bench.run('findRecording', { callSid, nextRequestAt })).toEqual({ kind: 'unknown call' })
  const { recordingNextTryAt } = await bench.database.call.findUniqueOrThrow({ where: { callSid } })
  expect(recordingNextTryAt?.toISOString()).toBe(nextRequestAt)
})

test('When the list of calls is answered with 404, then reconciliation waits with the alarm', async () => {
  await openBench()
  answer([404], [404])
  await expect(bench.run('sweepLinks', [newCallSid()])).rejects.toMatchObject({ type: 'ExotelAccountNotFound', nonRetryable: false })
  expect(alarmNames()).toEqual(['ExotelAccountNotFound'])
})

test('When Call Details names a recording, then the recording gets a row with its link, and no next request is recorded', async () => {
  await openBench()
  const callSid = newCallSid()
  await bench.owner.call.create({ data: { callSid, recordingState: 'awaiting' } })
  answer(details({ Status: 'completed', RecordingUrl: LINK, PreSignedRecordingUrl: `${LINK}?Signature=1` }), [500])
  const question = { callSid, nextRequestAt: new Date(Date.now() + 60_000).toISOString() }
  expect(await bench.run('findRecording', question)).toEqual({ kind: 'named', sourceUrl: LINK })
  const call = await bench.database.call.findUniqueOrThrow({ where: { callSid }, include: { recordings: true } })
  expect(call.recordings).toMatchObject([{ sourceUrl: LINK, fetchUrl: `${LINK}?Signature=1`, state: 'awaiting' }])
  expect(call.recordingNextTryAt).toBeNull()
})

test('When Call Details contains only a pre-signed link, then the recording is named by that link without its signature', async () => {
  await openBench()
  const callSid = newCallSid()
  await bench.owner.call.create({ data: { callSid, recordingState: 'awaiting' } })
  answer(details({ Status: 'completed', RecordingUrl: null, PreSignedRecordingUrl: `${LINK}?Signature=1` }), [500])
  expect(await bench.run('findRecording', { callSid })).toEqual({ kind: 'named', sourceUrl: LINK })
  expect(await bench.database.recording.findFirstOrThrow({ where: { callSid } })).toMatchObject({ fetchUrl: `${LINK}?Signature=1` })
})

test('When a recording is refused and Call Details has a link to another one only, then the refused one is not renewed', async () => {
  await openBench()
  const callSid = newCallSid()
  const other = `${LINK}2`
  answer(details({ RecordingUrl: other, PreSignedRecordingUrl: `${other}?Signature=1` }), [500])
  expect(await bench.run('renewLink', { callSid, sourceUrl: LINK })).toEqual({ kind: 'refused' })
  expect(await bench.run('renewLink', { callSid, sourceUrl: other })).toEqual({ kind: 'renewed' })
})

test('When a recording is refused and Call Details has no pre-signed link to it, then nothing is renewed', async () => {
  await openBench()
  answer(details({ RecordingUrl: LINK, PreSignedRecordingUrl: null }), [500])
  expect(await bench.run('renewLink', { callSid: newCallSid(), sourceUrl: LINK })).toEqual({ kind: 'refused' })
})

test('When Call Details has no recording, then the answer has the status and the duration, which decide whether one is missing', async () => {
  await openBench()
  answer(details({ Status: 'completed', Duration: 43, RecordingUrl: null }), [500])
  expect(await bench.run('findRecording', { callSid: newCallSid() })).toEqual({ kind: 'none', status: 'completed', durationSeconds: 43 })
})

describe('When Call Details contains the status of a call,', () => {
  const statusOf = async (callSid: string) => (await bench.database.call.findUniqueOrThrow({ where: { callSid } })).status

  test.each([
    ['ringing', 'completed', 'completed'],
    ['ringing', 'In-Progress', 'in-progress'],
    [null, 'busy', 'busy'],
    ['completed', 'busy', 'completed'],
    ['ringing', 'exploded', 'ringing'],
  ])('then a row with status %s that receives %s has %s', async (before, Status, after) => {
    await openBench()
    const callSid = newCallSid()
    await bench.owner.call.create({ data: { callSid, status: before, recordingState: 'awaiting' } })
    answer(details({ Status }), [500])
    await bench.run('findRecording', { callSid })
    expect(await statusOf(callSid)).toBe(after)
  })

  test('then the row contains the time of the next request, for a running call and for one that ended', async () => {
    await openBench()
    const [soon, later] = [new Date(Date.now() + 60_000), new Date(Date.now() + 600_000)]
    const question = { nextRequestAt: soon.toISOString(), nextRequestWhileRunningAt: later.toISOString() }
    for (const [Status, next] of [
      ['in-progress', later],
      ['completed', soon],
    ] as const) {
      const callSid = newCallSid()
      await bench.owner.call.create({ data: { callSid, recordingState: 'awaiting' } })
      answer(details({ Status }), [500])
      await bench.run('findRecording', { callSid, ...question })
      await eventually('the row to say it', async () => {
        const { recordingNextTryAt } = await bench.database.call.findUniqueOrThrow({ where: { callSid } })
        return recordingNextTryAt?.getTime() === next.getTime()
      })
    }
  })
})
