// Responses to the request for a recording, by their status: whether Exotel prepares it, and whether a part of it can be continued.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { readAnswer, type RecordingAnswer } from '../../exotel/recording-answer.ts'
import { createRecordingAgents, requestRecording, type RecordingSource } from '../../exotel/recording-request.ts'
import type { KnownPart } from '../../exotel/recording-version.ts'
import { startScriptedServer, type ScriptedServer } from '../support/scripted-server.ts'

const ETAG = '"v1"'
const AUDIO = 'the bytes of a recording'

let exotel: ScriptedServer
let source: RecordingSource
beforeAll(async () => {
  exotel = await startScriptedServer()
  const policy = { hosts: ['127.0.0.1'], publicHosts: [], allowLocal: true }
  source = { policy, credentials: { apiKey: 'key', apiToken: 'token' }, agents: createRecordingAgents(policy) }
})
afterAll(async () => {
  source?.agents.destroy()
  await exotel?.close()
})

async function answerTo(status: number, headers: Record<string, string | number> = {}, part?: KnownPart): Promise<RecordingAnswer> {
  exotel.script((_request, response) => response.writeHead(status, headers).end(status < 204 ? AUDIO : ''))
  const link = { url: `${exotel.url}/a.mp3`, kind: 'named' } as const
  const answer = await readAnswer(await requestRecording(link, { part, signal: AbortSignal.timeout(60_000) }, source), part)
  if (answer.kind === 'body') answer.body.destroy()
  return answer
}

test.each([204, 404, 425])('When the status is %i, then Exotel does not have the recording yet', async (status) => {
  expect(await answerTo(status)).toMatchObject({ kind: 'failed', code: 'RecordingNotFound' })
})

describe('When a whole body has an ETag', () => {
  const headers = { etag: ETAG, 'content-length': AUDIO.length }

  test('then its download can be resumed', async () => {
    expect(await answerTo(200, headers)).toMatchObject({ kind: 'body', validator: ETAG, totalBytes: AUDIO.length })
  })

  test('and a proxy has changed it (203), then its download cannot be resumed, because the ETag is that of the original', async () => {
    const answer = await answerTo(203, headers)
    expect(answer).toMatchObject({ kind: 'body', totalBytes: AUDIO.length })
    expect(answer).not.toHaveProperty('validator')
  })
})

test.each([
  ['bytes */24', 'part is whole'],
  ['bytes */30', 'part unusable'],
  ['bytes */*', 'part unusable'],
])('When nothing is left after a part of 24 bytes, and Content-Range is "%s", then: %s', async (range, kind) => {
  const part = { from: 24, validator: ETAG }
  expect(await answerTo(416, { etag: ETAG, 'content-range': range }, part)).toEqual({ kind })
})
