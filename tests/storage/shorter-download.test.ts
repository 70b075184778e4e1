// A later attempt receives fewer bytes than an earlier one: which file is kept.
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { Spooled, Verdict } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { mp3 } from '../support/audio.ts'
import { beginningOf, wholeOf } from '../support/recording-answers.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const AUDIO = mp3({ frames: 40 })
const FRAME_BYTES = AUDIO.length / 40
const PAGE = Buffer.from(`<html><body>${'Bad gateway. '.repeat(AUDIO.length / 5)}</body></html>`)

let exotel: ScriptedServer
let bench: Workbench
let source: { callSid: CallSid; sourceUrl: string }
let file: string
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
  file = bench.spool.fileFor(source.callSid, source.sourceUrl)
})

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const download = (answer: Answer): Promise<Spooled> => (exotel.script(answer), bench.run('downloadRecording', source))
const receive = (body: Buffer): Promise<Spooled> => download(wholeOf(body))
const validate = (spooled: Spooled): Promise<Verdict> => bench.run('validateRecording', { callSid: source.callSid, spooled })
/** Receives the body, then the connection is closed before all announced bytes were sent. */
const receiveCut = async (body: Buffer): Promise<void> => {
  const cut = beginningOf(body, body.length, { 'content-length': body.length + 1 }, () => bench.spool.bytesOf(file))
  await expect(download(cut)).rejects.toThrow()
}
const keptHash = async (): Promise<string | undefined> => (await bench.run('keepIncomplete', source)).spooled?.sha256

test('When a file ends between frames and an earlier attempt received more of it, then it is incomplete, and the longer file stays', async () => {
  await receiveCut(AUDIO)
  const half = AUDIO.subarray(0, 20 * FRAME_BYTES)
  const verdict = await validate(await receive(half))
  expect(verdict).toEqual({ kind: 'incomplete', reason: expect.stringContaining(`${AUDIO.length} instead of ${half.length} bytes`) })
  expect(await keptHash()).toBe(sha256(AUDIO))
})

test('When an earlier attempt received a page after the same audio, then the audio is good', async () => {
  await receiveCut(Buffer.concat([AUDIO, Buffer.from('<html><body>Bad gateway</body></html>')]))
  expect((await validate(await receive(AUDIO))).kind).toBe('good')
})

test('When an earlier attempt received a longer file with other bytes, then a good file is good', async () => {
  await receiveCut(mp3({ frames: 60, version: 2 }))
  expect((await validate(await receive(AUDIO.subarray(0, 20 * FRAME_BYTES)))).kind).toBe('good')
})

test('When audio that is shorter than a kept page is downloaded again, then the audio is kept', async () => {
  await receiveCut(PAGE)
  const audio = AUDIO.subarray(0, 20 * FRAME_BYTES)
  await receiveCut(audio)
  await receiveCut(AUDIO.subarray(0, 5 * FRAME_BYTES))
  expect(await keptHash()).toBe(sha256(audio))
})

test('When a shorter page follows a kept page, then the longer page is kept', async () => {
  await receiveCut(PAGE)
  await receiveCut(PAGE.subarray(0, 100))
  await receiveCut(PAGE.subarray(0, 50))
  expect(await keptHash()).toBe(sha256(PAGE))
})
