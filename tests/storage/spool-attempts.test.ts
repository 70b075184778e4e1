import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { open, writeFile, type FileHandle } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { eventually } from '../support/eventually.ts'
import { startScriptedServer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const BYTES = randomBytes(1024 ** 2)
const SHA256 = createHash('sha256').update(BYTES).digest('hex')
const PAGE = '<html>'
const HALF = BYTES.length / 2

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
  source = { callSid: newCallSid(), sourceUrl: `${exotel.url}/1.mp3` }
})

const file = () => bench.spool.fileFor(source.callSid, source.sourceUrl)
const superseded = expect.objectContaining({ type: 'SpoolFileLost', nonRetryable: true })

/** Runs an activity as an attempt that Temporal scheduled at this time. */
function runScheduledAt<Name extends 'downloadRecording' | 'validateRecording' | 'discardRecording'>(
  currentAttemptScheduledTimestampMs: number,
  name: Name,
  input: Parameters<Workbench['activities'][Name]>[0],
): ReturnType<Workbench['activities'][Name]> {
  const environment = bench.environment({ currentAttemptScheduledTimestampMs })
  return environment.run(bench.activities[name] as never, input as never) as never
}

/** Starts a download that has half of the recording on disk and receives the rest when `finish` is called. */
async function downloadHalf(scheduledMs: number) {
  let finish = (): void => {}
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length, etag: '"v1"' }).write(BYTES.subarray(0, HALF))
    finish = () => response.end(BYTES.subarray(HALF))
  })
  const result = runScheduledAt(scheduledMs, 'downloadRecording', source)
  result.catch(() => {})
  await eventually('half of it to be on disk', async () => (await bench.spool.bytesOf(file())) === HALF)
  return { result, finish: () => finish() }
}

const failOnError = (_file: string, error: unknown): never => {
  throw error
}

test('When an earlier download attempt arrives after a later one, then it does nothing, and the later one completes the file', async () => {
  const later = await downloadHalf(2)
  await expect(runScheduledAt(1, 'downloadRecording', source)).rejects.toEqual(superseded)
  later.finish()
  expect(await later.result).toMatchObject({ bytes: BYTES.length, sha256: SHA256 })
})

test('When a later download attempt starts, then it aborts the earlier one and continues its part', async () => {
  const earlier = await downloadHalf(1)
  exotel.script((request, response) => {
    response.writeHead(206, { 'content-range': `bytes ${HALF}-${BYTES.length - 1}/${BYTES.length}`, etag: '"v1"' })
    response.end(BYTES.subarray(HALF))
  })
  expect(await runScheduledAt(2, 'downloadRecording', source)).toMatchObject({ bytes: BYTES.length, sha256: SHA256 })
  await expect(earlier.result).rejects.toEqual(superseded)
  expect(exotel.requests[0]!.headers.range).toBe(`bytes=${HALF}-`)
})

test('When a step discards the file of an attempt that timed out, then that attempt ends first', async () => {
  const givenUp = await downloadHalf(1)
  await runScheduledAt(2, 'discardRecording', source)
  await expect(givenUp.result).rejects.toEqual(superseded)
  expect(readdirSync(bench.spool.directory).filter((name) => name.startsWith(file()))).toEqual([])
})

test('When a step discards the file after a later download has started, then that download continues', async () => {
  const later = await downloadHalf(2)
  await expect(runScheduledAt(1, 'discardRecording', source)).rejects.toEqual(superseded)
  later.finish()
  expect(await later.result).toMatchObject({ sha256: SHA256 })
})

test('When a validation is about to delete a file that a later download writes, then that download continues', async () => {
  const spooled = { queue: bench.spool.queue, file: file(), bytes: HALF, sha256: createHash('sha256').update(PAGE).digest('hex') }
  const later = await downloadHalf(2)
  await expect(runScheduledAt(1, 'validateRecording', { ...source, spooled })).rejects.toEqual(superseded)
  later.finish()
  expect(await later.result).toMatchObject({ sha256: SHA256 })
  expect(readFileSync(bench.spool.path(file())).equals(BYTES)).toBe(true)
})

test('When a validation is about to delete a file that a later download has completed, then that file stays complete', async () => {
  exotel.script((_request, response) => response.writeHead(200, { 'content-length': BYTES.length }).end(BYTES))
  const whole = await runScheduledAt(2, 'downloadRecording', source)
  const spooled = { ...whole, sha256: createHash('sha256').update(PAGE).digest('hex') }
  await expect(runScheduledAt(3, 'validateRecording', { ...source, spooled })).rejects.toEqual(superseded)
  expect(await runScheduledAt(4, 'downloadRecording', source)).toEqual(whole)
  expect(exotel.requests).toHaveLength(1)
  expect(readFileSync(bench.spool.path(file())).equals(BYTES)).toBe(true)
})

test('When the bytes of a whole file have changed, then it is downloaded again, and does not count as complete', async () => {
  exotel.script((_request, response) => response.writeHead(200, { 'content-length': BYTES.length }).end(BYTES))
  const whole = await runScheduledAt(1, 'downloadRecording', source)
  writeFileSync(bench.spool.path(file()), randomBytes(BYTES.length))
  await expect(runScheduledAt(2, 'validateRecording', { ...source, spooled: whole })).rejects.toEqual(superseded)
  expect(await runScheduledAt(3, 'downloadRecording', source)).toEqual(whole)
  expect(exotel.requests).toHaveLength(2)
})

describe('When the disk', () => {
  let all: (chunk: Buffer, offset: number, length: number, position: number) => ReturnType<FileHandle['write']>
  let write: jest.SpiedFunction<typeof all>
  beforeEach(async () => {
    const handle = await open(bench.spool.directory)
    const prototype = Object.getPrototypeOf(handle) as { write: typeof all }
    all = prototype.write
    write = jest.spyOn(prototype, 'write')
    await handle.close()
  })
  afterEach(() => write.mockRestore())

  test('is full in the middle of a download, then the attempt waits, and its file is deleted', async () => {
    const download = await downloadHalf(1)
    write.mockRejectedValue(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }))
    download.finish()
    await expect(download.result).rejects.toEqual(expect.objectContaining({ type: 'SpoolFull', category: 'BENIGN' }))
    expect(readdirSync(bench.spool.directory).filter((name) => name.startsWith(file()))).toEqual([])
    expect(bench.alarms.active()).toMatchObject([{ name: 'SpoolUnavailable', reason: expect.stringContaining('ENOSPC') }])

    write.mockRestore()
    exotel.script((_request, response) => response.writeHead(200, { 'content-length': BYTES.length, etag: '"v1"' }).end(BYTES))
    expect(await runScheduledAt(2, 'downloadRecording', source)).toMatchObject({ sha256: SHA256 })
    expect(exotel.requests[0]!.headers.range).toBeUndefined()
    expect(bench.alarms.active()).toEqual([])
  })

  test('writes fewer bytes than requested, then the rest is written after them', async () => {
    write.mockImplementation(function (this: FileHandle, chunk: Buffer, offset: number, length: number, position: number) {
      return all.call(this, chunk, offset, Math.min(length, 1000), position)
    })
    exotel.script((_request, response) => response.writeHead(200, { 'content-length': BYTES.length }).end(BYTES))
    expect(await runScheduledAt(1, 'downloadRecording', source)).toMatchObject({ bytes: BYTES.length, sha256: SHA256 })
    expect(readFileSync(bench.spool.path(file())).equals(BYTES)).toBe(true)
  })
})

test('When an attempt starts while garbage collection checks whether the call is open, then the file of the attempt stays', async () => {
  await bench.spool.writeNote(file(), {})
  let writing: Promise<void> | undefined
  const removed = await bench.spool.collectGarbage(async (callSid) => {
    if (callSid !== source.callSid) return true
    const attempt = { scheduledMs: 1, signal: new AbortController().signal }
    writing = bench.spool.asWriter(file(), attempt, () => writeFile(bench.spool.path(file()), BYTES))
    return false
  }, failOnError)
  expect(removed).toEqual([])
  await writing
  expect(readFileSync(bench.spool.path(file())).equals(BYTES)).toBe(true)
})

test('When the check of one file hangs, then an attempt on that file starts immediately', async () => {
  await bench.spool.writeNote(file(), {})
  let checked = (): void => {}
  const checking = new Promise<void>((resolve) => (checked = resolve))
  const collecting = bench.spool.collectGarbage((callSid) => {
    if (callSid !== source.callSid) return Promise.resolve(true)
    checked()
    return new Promise<boolean>(() => {})
  }, failOnError)
  await checking
  await bench.spool.asWriter(file(), { scheduledMs: 1, signal: new AbortController().signal }, () =>
    writeFile(bench.spool.path(file()), BYTES),
  )
  expect(await collecting).toEqual([])
  expect(readFileSync(bench.spool.path(file())).equals(BYTES)).toBe(true)
})

test('When one file cannot be removed, then the others are removed', async () => {
  const calls = Array.from({ length: 5 }, newCallSid)
  for (const callSid of calls) await bench.spool.writeNote(bench.spool.fileFor(callSid, 'x'), {})
  const failed: string[] = []
  const removed = await bench.spool.collectGarbage(
    async (callSid) => {
      if (callSid === calls.toSorted()[0]) throw new Error('no response')
      return !calls.includes(callSid)
    },
    (name) => failed.push(name),
  )
  expect(failed).toEqual([bench.spool.fileFor(calls.toSorted()[0]!, 'x')])
  expect(removed).toHaveLength(4)
})

test('When garbage collection meets a file that is being written, then it stays', async () => {
  const writing = await downloadHalf(1)
  expect(await bench.spool.collectGarbage(async () => false, failOnError)).not.toContain(file())
  writing.finish()
  expect(await writing.result).toMatchObject({ sha256: SHA256 })
})
