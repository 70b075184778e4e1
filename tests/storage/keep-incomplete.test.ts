// What happens to the bytes of a recording if no attempt receives all of them.
import { createHash } from 'node:crypto'
import { copyFileSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { Incomplete, Spooled, UploadInput, Verdict } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { mp3 } from '../support/audio.ts'
import { beginningOf, wholeOf } from '../support/recording-answers.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const AUDIO = mp3({ frames: 40 })
const CUT = mp3({ frames: 20, xingFrames: 50 })

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
/** Closes the connection before all announced bytes were sent. */
const cut = (body: Buffer, announced: number): Answer =>
  beginningOf(body, body.length, { 'content-length': announced }, () => bench.spool.bytesOf(file))
const download = (answer: Answer): Promise<Spooled> => (exotel.script(answer), bench.run('downloadRecording', source))
const validate = (spooled: Spooled): Promise<Verdict> => bench.run('validateRecording', { callSid: source.callSid, spooled })
const keep = (): Promise<Incomplete> => bench.run('keepIncomplete', source)
const filesOfCall = async (): Promise<string[]> => (await bench.spool.files()).filter((name) => name.startsWith(source.callSid))
const downloadCut = async (): Promise<void> => {
  expect((await validate(await download(wholeOf(CUT)))).kind).toBe('incomplete')
}

test('When more bytes are announced than a complete file has, then the file goes to quarantine as it arrived', async () => {
  await expect(download(cut(AUDIO, AUDIO.length + 100))).rejects.toThrow()
  const { spooled } = await keep()
  expect(spooled).toMatchObject({ file, bytes: AUDIO.length, sha256: sha256(AUDIO) })
  const verdict = await validate(spooled!)
  expect(verdict).toMatchObject({
    kind: 'damaged',
    reason: expect.stringContaining('The transfer was cut'),
    audio: { extension: 'mp3' },
  })
  const { key } = await bench.run('uploadRecording', { ...source, spooled: spooled!, verdict: verdict as UploadInput['verdict'] })
  expect(key).toMatch(/^quarantine\/.+\.mp3$/)
  expect(await bench.bucket.sha256Of(key)).toBe(sha256(AUDIO))
})

test('When an incomplete file is downloaded again, then the longest one is kept, with its reason', async () => {
  await downloadCut()
  await expect(download(cut(AUDIO.subarray(0, 500), AUDIO.length))).rejects.toThrow()
  await expect(download(cut(AUDIO.subarray(0, 400), AUDIO.length))).rejects.toThrow()
  const { spooled } = await keep()
  expect(spooled).toMatchObject({ bytes: CUT.length, sha256: sha256(CUT), broken: { reason: expect.stringContaining('cut off') } })
  expect(readFileSync(bench.spool.path(spooled!.file))).toEqual(CUT)
  expect(await validate(spooled!)).toMatchObject({ kind: 'damaged', reason: expect.stringContaining('cut off') })
  expect(await keep()).toEqual({ spooled })
})

test('When pages follow an incomplete file, then they are deleted, and the file is kept', async () => {
  await downloadCut()
  expect((await validate(await download(wholeOf('<html><body>Bad gateway</body></html>')))).kind).toBe('refused')
  expect((await keep()).spooled).toMatchObject({ sha256: sha256(CUT) })
})

test('When a short file that is not accepted follows an incomplete one, then it is downloaded again, and the longer one is kept', async () => {
  await downloadCut()
  const strange = Buffer.from([...Array(200).keys()])
  expect(await validate(await download(wholeOf(strange)))).toMatchObject({ kind: 'incomplete' })
  expect((await keep()).spooled).toMatchObject({ sha256: sha256(CUT) })
})

test('When a longer page has been set aside, then it does not replace audio', async () => {
  await downloadCut()
  const page = Buffer.from(`<html><body>${'Bad gateway. '.repeat(CUT.length / 10)}</body></html>`)
  await expect(download(cut(page, page.length + 1))).rejects.toThrow()
  await expect(download(cut(page.subarray(0, 30), page.length))).rejects.toThrow()
  expect((await keep()).spooled).toMatchObject({ sha256: sha256(CUT) })
})

test('When a longer page was kept first, then audio replaces it', async () => {
  const page = Buffer.from(`<html><body>${'Bad gateway. '.repeat(AUDIO.length / 10)}</body></html>`)
  await expect(download(cut(page, page.length + 1))).rejects.toThrow()
  const part = AUDIO.subarray(0, AUDIO.length / 2)
  await expect(download(cut(part, AUDIO.length))).rejects.toThrow()
  await expect(download(cut(page.subarray(0, 30), page.length))).rejects.toThrow()
  expect((await keep()).spooled).toMatchObject({ sha256: sha256(part) })
})

test('When a shorter answer has only the first bytes of what an earlier attempt received, then it is not the recording', async () => {
  await expect(download(cut(AUDIO, AUDIO.length + 100))).rejects.toThrow()
  const start = AUDIO.subarray(0, AUDIO.length / 2) // 20 of 40 complete frames
  expect(await validate(await download(wholeOf(start)))).toMatchObject({
    kind: 'incomplete',
    reason: expect.stringContaining('beginning of an earlier download'),
  })
  expect((await keep()).spooled).toMatchObject({ sha256: sha256(AUDIO) })
})

test('When a shorter answer is another version of the recording, then it is accepted', async () => {
  await expect(download(cut(Buffer.concat([AUDIO, AUDIO]), 3 * AUDIO.length))).rejects.toThrow()
  const version = mp3({ frames: 30, xingFrames: 30 })
  expect(await validate(await download(wholeOf(version)))).toMatchObject({ kind: 'good' })
})

test('When a step that timed out deletes its file late, then the file of a later download stays', async () => {
  const first = await download(wholeOf(AUDIO))
  await bench.spool.setAside(file)
  await expect(download(cut(AUDIO.subarray(0, 500), AUDIO.length))).rejects.toThrow()
  await bench.spool.removeRefused(file, first.sha256, { scheduledMs: Date.now(), signal: new AbortController().signal })
  expect(await bench.spool.bytesOf(file)).toBe(500)
})

test('When a longer part of a page follows an incomplete file, then the page is refused, and the file is kept', async () => {
  await downloadCut()
  const page = Buffer.from(`<html><body>${'Bad gateway. '.repeat(CUT.length / 10)}</body></html>`)
  await expect(download(cut(page, page.length + 1))).rejects.toThrow()
  expect((await validate((await keep()).spooled!)).kind).toBe('refused')
  expect((await keep()).spooled).toMatchObject({ sha256: sha256(CUT) })
})

test('When more bytes arrive than were announced, then the longest incomplete file is still kept', async () => {
  await downloadCut()
  await bench.spool.setAside(file)
  const longer: Answer = ({ socket }) => void socket.end(`HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-9/10\r\n\r\n${'x'.repeat(20)}`)
  await expect(download(longer)).rejects.toThrow()
  expect((await keep()).spooled).toMatchObject({ sha256: sha256(CUT) })
})

test('When the bytes that arrived are a part of a page, then they are refused', async () => {
  const page = Buffer.from('<html><body>Bad gateway</body></html>')
  await expect(download(cut(page, 1000))).rejects.toThrow()
  expect(await validate((await keep()).spooled!)).toMatchObject({ kind: 'refused' })
  expect(await filesOfCall()).toEqual([])
})

test('When a kept file still exists, then the recording is downloaded again', async () => {
  await downloadCut()
  await keep()
  expect(await download(wholeOf(AUDIO))).toMatchObject({ bytes: AUDIO.length, sha256: sha256(AUDIO) })
})

test('When a worker was killed during a transfer, then the bytes that it wrote are kept', async () => {
  copyFileSync(new URL('../corpus/base/mono-8000.mp3', import.meta.url), bench.spool.path(file))
  expect((await keep()).spooled).toMatchObject({ file, broken: { reason: 'The transfer was interrupted' } })
})

test('When a whole recording was never stored, then it is kept', async () => {
  const spooled = await download(wholeOf(AUDIO))
  expect((await keep()).spooled).toMatchObject({ ...spooled, broken: { reason: 'No attempt stored the recording' } })
})

test('When the recording is stored in the end, then none of its files stays in the spool', async () => {
  await downloadCut()
  const spooled = await download(wholeOf(AUDIO))
  expect(await filesOfCall()).toHaveLength(2)
  const verdict = (await validate(spooled)) as UploadInput['verdict']
  expect(verdict.kind).toBe('good')
  await bench.run('uploadRecording', { ...source, spooled, verdict })
  expect(await filesOfCall()).toEqual([])
})

test('When a worker has a kept file, then checkSpool returns true until the recording is discarded', async () => {
  await downloadCut()
  await bench.spool.setAside(file)
  expect(await bench.run('checkSpool', source)).toBe(true)
  await bench.run('discardRecording', source)
  expect(await bench.run('checkSpool', source)).toBe(false)
  expect(await keep()).toEqual({})
})

test('When the spool has no space for a download, then the kept file of the recording is deleted', async () => {
  await downloadCut()
  await bench.spool.setAside(file)
  await expect(bench.spool.reserve(file, 2 ** 50)).rejects.toThrow()
  expect(await filesOfCall()).toEqual([])
})
