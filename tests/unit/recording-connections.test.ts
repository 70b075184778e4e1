// Connections of responses that are not downloaded: they are used again or closed. Otherwise each of them would stay open.
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { readAnswer, type RecordingAnswer } from '../../exotel/recording-answer.ts'
import { createRecordingAgents, requestRecording, type RecordingSource } from '../../exotel/recording-request.ts'
import type { KnownPart } from '../../exotel/recording-version.ts'
import { eventually } from '../support/eventually.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'

let exotel: ScriptedServer
let source: RecordingSource
let sockets: Set<Socket>
beforeAll(async () => {
  exotel = await startScriptedServer()
})
afterAll(() => exotel?.close())
beforeEach(() => {
  sockets = new Set()
  const policy = { hosts: ['127.0.0.1'], publicHosts: [], allowLocal: true }
  source = { policy, credentials: { apiKey: 'key', apiToken: 'token' }, agents: createRecordingAgents(policy) }
})
afterEach(() => source.agents.destroy())

const answer =
  (respond: (response: ServerResponse) => unknown): Answer =>
  (request, response) => {
    sockets.add(request.socket)
    return respond(response)
  }
async function request(part?: KnownPart): Promise<RecordingAnswer> {
  const link = { url: `${exotel.url}/a.mp3`, kind: 'named' } as const
  return readAnswer(await requestRecording(link, { part, signal: AbortSignal.timeout(60_000) }, source), part)
}
const openSockets = (): number => [...sockets].filter(({ destroyed }) => !destroyed).length

test('When requests are redirected or have no recording, then they leave no more than one open connection', async () => {
  const redirect = answer((response) => response.writeHead(302, { location: '/b.mp3' }).end('moved'))
  const missing = answer((response) => response.writeHead(404).end('not there'))
  exotel.script(redirect, redirect, missing)
  expect(await request()).toMatchObject({ code: 'RecordingNotFound' })
  await request()
  await request()
  expect(exotel.requests).toHaveLength(5)
  expect(openSockets()).toBeLessThanOrEqual(1)
})

test.each([
  ['of another range', { 'content-range': 'bytes 5-9/24' }, undefined, { kind: 'failed', code: 'DownloadIncomplete' }],
  ['of another version', { 'content-range': 'bytes 20-23/24', etag: '"v2"' }, { from: 20, validator: '"v1"' }, { kind: 'part unusable' }],
])('When a 206 %s cannot be used, then its connection is closed although its body does not end', async (_what, headers, part, expected) => {
  exotel.script(answer((response) => response.writeHead(206, { ...headers, 'content-length': 1000 }).write('a part')))
  expect(await request(part)).toMatchObject(expected)
  await eventually('the connection to be closed', async () => openSockets() === 0, 2000)
})

test.each([
  ['{"state":"not_available"}', 'RecordingNotFound'],
  ['{"status":"not ready"}', 'RecordingNotFound'],
  ['{"recording_status":"in-progress"}', 'RecordingNotFound'],
  ['{"state":"queued"}', 'RecordingNotFound'],
  ['{"status":"Pending"}', 'RecordingNotFound'],
  ['{"state":"expired"}', 'RecordingExpired'],
  ['{"state":"unknown word"}', 'RecordingInvalid'],
])('When the body is %s, then the failure is %s, and the connection can be used again', async (body, code) => {
  exotel.script(answer((response) => response.end(body)))
  for (const _ of [1, 2]) expect(await request()).toMatchObject({ kind: 'failed', code })
  expect(openSockets()).toBeLessThanOrEqual(1)
})
