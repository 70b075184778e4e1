// What validation finds in a file, and that only the validated bytes are uploaded.
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { UploadInput } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { mp3, wav } from '../support/audio.ts'
import { newCallSid } from '../support/servers.ts'
import { spoolRecording } from '../support/spooled.ts'

let bench: Workbench
beforeAll(async () => {
  bench = await openWorkbench()
})
afterAll(() => bench?.close())

const spool = (bytes?: Buffer) => spoolRecording(bench, bytes && { bytes })
const upload = (input: UploadInput) => bench.run('uploadRecording', input)
const failure = (type: string, more: object = {}) => expect.objectContaining({ type, ...more })

test('When audio is damaged, then it goes to quarantine', async () => {
  const { input } = await spool(readFileSync(new URL('../corpus/base/other.mkv', import.meta.url)))
  expect(input.verdict).toMatchObject({ kind: 'damaged', reason: expect.stringContaining('is not accepted') })
  expect((await upload(input)).key).toMatch(/^quarantine\/.+\.webm$/)
})

test('When audio is incomplete, then the file stays with the reason until it has been downloaded again', async () => {
  const callSid = newCallSid()
  const bytes = mp3({ frames: 20, xingFrames: 50 })
  const file = bench.spool.fileFor(callSid, 'x')
  writeFileSync(bench.spool.path(file), bytes)
  const spooled = { queue: 'q', file, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
  expect(await bench.run('validateRecording', { callSid, spooled })).toEqual({
    kind: 'incomplete',
    reason: 'The MP3 is cut off: it announces 50 frames and has 20',
  })
  expect(await bench.spool.note(file)).toEqual({ broken: { reason: 'The MP3 is cut off: it announces 50 frames and has 20' } })
  expect(await bench.spool.bytesOf(file)).toBe(bytes.length)
})

test('When a file is not audio, then it is refused and deleted', async () => {
  const callSid = newCallSid()
  const file = bench.spool.fileFor(callSid, 'x')
  writeFileSync(bench.spool.path(file), '<html>')
  const spooled = { queue: 'q', file, bytes: 6, sha256: createHash('sha256').update('<html>').digest('hex') }
  expect(await bench.run('validateRecording', { callSid, spooled })).toEqual({
    kind: 'refused',
    reason: 'The file is an HTML page, not audio',
  })
  expect(await bench.spool.files()).not.toContain(file)
})

test('When the duration of the recording differs from that of the call, then it gets a remark', async () => {
  const callSid = newCallSid()
  await bench.database.call.create({ data: { callSid, durationSeconds: 300 } })
  const bytes = mp3()
  const file = bench.spool.fileFor(callSid, 'x')
  writeFileSync(bench.spool.path(file), bytes)
  const spooled = { queue: 'q', file, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
  expect(await bench.run('validateRecording', { callSid, spooled })).toMatchObject({
    kind: 'good',
    remark: 'The recording lasts 1 s, the call 300 s',
  })
})

test.each([
  [2, 11, undefined],
  [2, 13, 'The recording lasts 2 s, the call 13 s'],
  [100, 120, undefined],
  [100, 130, 'The recording lasts 100 s, the call 130 s'],
])('When a recording lasts %i s and its call %i s, then its remark is: %s', async (seconds, durationSeconds, remark) => {
  const callSid = newCallSid()
  await bench.database.call.create({ data: { callSid, durationSeconds } })
  const { verdict } = (await spoolRecording(bench, { callSid, bytes: wav({ seconds }) })).input
  expect(verdict).toMatchObject({ kind: 'good' })
  expect((verdict as { remark?: string }).remark).toBe(remark)
})

describe('When the file does not have the validated bytes, then the recording is downloaded again:', () => {
  test.each([
    ['deleted', (path: string) => rmSync(path)],
    ['shortened', (path: string) => truncateSync(path, 100)],
    ['changed', (path: string) => writeFileSync(path, Buffer.concat([mp3(), randomBytes(20)]))],
  ])('%s before the upload', async (_how, spoil) => {
    const { input, path } = await spool()
    spoil(path)
    await expect(upload(input)).rejects.toEqual(failure('SpoolFileLost', { nonRetryable: true }))
    const { complete, broken } = await bench.spool.note(input.spooled.file)
    expect(complete && !broken && complete.bytes === (await bench.spool.bytesOf(input.spooled.file))).toBeFalsy()
    expect(await bench.bucket.keys(`recordings/`)).not.toContainEqual(expect.stringContaining(input.callSid))
  })
})
