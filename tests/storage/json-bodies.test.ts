// Bodies that are labelled as JSON, or start like JSON. Only a short body that is a JSON document as a whole is a message of Exotel.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Spooled, Verdict } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { mp3 } from '../support/audio.ts'
import { startScriptedServer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const AUDIO = mp3({ frames: 40 })

let exotel: ScriptedServer
let bench: Workbench
beforeAll(async () => {
  exotel = await startScriptedServer()
  bench = await openWorkbench()
})
afterAll(async () => {
  await bench?.close()
  await exotel?.close()
})

function download(body: Buffer | string, headers: Record<string, string | number>): Promise<Spooled> {
  exotel.script((_request, response) => response.writeHead(200, headers).end(body))
  return bench.run('downloadRecording', { callSid: newCallSid(), sourceUrl: `${exotel.url}/recordings/1.mp3` })
}

describe('When a JSON document is sent in chunks, then its bytes are kept if they may hold audio:', () => {
  test.each([
    ['base64 in JSON', JSON.stringify({ audio: AUDIO.toString('base64') })],
    ['audio behind a JSON document', Buffer.concat([Buffer.from('{"status":"ok"}\n'), AUDIO])],
    ['audio that starts like a list', Buffer.concat([Buffer.from('["'), AUDIO])],
  ])('%s', async (_what, body) => {
    const spooled = await download(body, { 'content-type': 'application/json' })
    expect(spooled.bytes).toBe(body.length)
    const verdict: Verdict = await bench.run('validateRecording', { callSid: newCallSid(), spooled })
    expect(['good', 'damaged', 'incomplete']).toContain(verdict.kind)
  })
})

describe('When a short body is a JSON document, then it is a message of Exotel:', () => {
  test.each([
    ['in chunks', {}],
    ['with a length', { 'content-length': 23 }],
  ])('%s', async (_what, headers) => {
    const state = '{"status":"processing"}'
    await expect(download(state, { 'content-type': 'application/json', ...headers })).rejects.toMatchObject({ type: 'RecordingNotFound' })
  })
})
