// What an attempt that is interrupted leaves on the disk and tells the workflow, and that it holds no connection.
import { createHash, randomBytes } from 'node:crypto'
import { open, type FileHandle } from 'node:fs/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { nameRecording } from '../../calls/recording-facts.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { Incomplete } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { eventually } from '../support/eventually.ts'
import { beginningOf, status, wholeOf, type Headers } from '../support/recording-answers.ts'
import { startScriptedServer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const MB = 1024 ** 2
const BYTES = randomBytes(3 * MB)
const CUT = MB
const ETAG = { etag: '"v1"' }

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
const file = () => bench.spool.fileFor(source.callSid, source.sourceUrl)
const failure = (type: string, details: object) => expect.objectContaining({ type, details: [expect.objectContaining(details)] })
const cut = (headers: Headers) =>
  exotel.script(beginningOf(BYTES, CUT, { 'content-length': BYTES.length, ...headers }, () => bench.spool.bytesOf(file())))

describe('When an attempt leaves a part on this worker,', () => {
  test('then the workflow learns its worker and how much of it can be continued, also from later attempts without any byte', async () => {
    const left = { queue: bench.spool.queue, reachedBytes: CUT, resumableBytes: CUT }
    cut(ETAG)
    await expect(download()).rejects.toEqual(failure('DownloadIncomplete', left))
    exotel.script(status(503))
    await expect(download()).rejects.toEqual(failure('ExotelUnavailable', left))
    exotel.script(status(429, { 'retry-after': '7' }))
    await expect(download()).rejects.toEqual(failure('ExotelRateLimited', { ...left, retryAfterMs: 7000 }))
  })

  test('then nothing of it can be continued if the source has no version', async () => {
    cut({})
    await expect(download()).rejects.toEqual(
      failure('DownloadIncomplete', { queue: bench.spool.queue, reachedBytes: CUT, resumableBytes: 0 }),
    )
  })

  test('and the next answer breaks off before its first byte, then the workflow still learns the worker that has the part', async () => {
    cut({})
    await expect(download()).rejects.toThrow()
    exotel.script((_request, response) => {
      response.writeHead(200, { 'content-length': BYTES.length }).flushHeaders()
      response.destroy()
    })
    await expect(download()).rejects.toEqual(failure('DownloadIncomplete', { queue: bench.spool.queue, reachedBytes: 0 }))
  })
})

describe('When the disk does not confirm that it has the bytes,', () => {
  async function withoutConfirmation(work: () => Promise<void>): Promise<void> {
    const handle = await open(bench.spool.directory)
    const prototype = Object.getPrototypeOf(handle) as Pick<FileHandle, 'datasync'>
    await handle.close()
    const datasync = jest
      .spyOn(prototype, 'datasync')
      .mockRejectedValue(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }))
    try {
      await work()
    } finally {
      datasync.mockRestore()
    }
  }

  test('then a recording that has arrived does not count as complete, and is downloaded again', async () => {
    exotel.script(wholeOf(BYTES, ETAG))
    await withoutConfirmation(async () => {
      await expect(download()).rejects.toMatchObject({ type: 'SpoolUnavailable', category: 'BENIGN' })
      expect(await bench.spool.note(file())).toEqual({})
    })
    expect(await download()).toMatchObject({ bytes: BYTES.length })
    expect(exotel.requests).toHaveLength(2)
  })

  test('then a part that has arrived is not continued', async () => {
    await withoutConfirmation(async () => {
      cut(ETAG)
      await expect(download()).rejects.toMatchObject({ type: 'DownloadIncomplete' })
    })
    exotel.script(wholeOf(BYTES, ETAG))
    expect(await download()).toMatchObject({ bytes: BYTES.length })
    expect(exotel.requests.map(({ headers }) => headers.range)).toEqual([undefined])
  })
})

test('When the incomplete file is prepared for quarantine, then an attempt that still writes it ends first', async () => {
  let finish = (): void => {}
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length, ...ETAG }).write(BYTES.subarray(0, CUT))
    finish = () => response.end(BYTES.subarray(CUT))
  })
  const scheduledAt = (ms: number) => bench.environment({ currentAttemptScheduledTimestampMs: ms })
  const givenUp = scheduledAt(1)
    .run(bench.activities.downloadRecording, source)
    .catch((error: unknown) => error)
  await eventually('the part to be on disk', async () => (await bench.spool.bytesOf(file())) === CUT)
  const { spooled } = (await scheduledAt(2).run(bench.activities.keepIncomplete, source)) as Incomplete
  finish() // a download that still runs would complete the file now
  expect(await givenUp).toMatchObject({ type: 'SpoolFileLost' })
  const sha256 = createHash('sha256').update(BYTES.subarray(0, CUT)).digest('hex')
  expect(spooled).toMatchObject({ bytes: CUT, sha256 })
})

describe('When the spool has no space for a recording,', () => {
  let small: Workbench
  beforeAll(async () => {
    small = await openWorkbench({ limits: { maxBytes: MB, minFreeBytes: 0 } })
  })
  afterAll(() => small?.close())

  test('then the connection is closed', async () => {
    let isClosed = false
    exotel.script((_request, response) => {
      response.writeHead(200, { 'content-length': BYTES.length }).write(BYTES.subarray(0, 1000))
      response.on('close', () => (isClosed = true))
    })
    await expect(small.run('downloadRecording', source)).rejects.toMatchObject({ type: 'SpoolFull' })
    await eventually('the connection to be closed', async () => isClosed, 5000)
  })

  test('then its row has the time of the next attempt', async () => {
    exotel.script(wholeOf(BYTES, ETAG))
    await nameRecording(small.database, source.callSid, source)
    const before = Date.now()
    const work = small.environment({ attempt: 20 }).run(small.activities.downloadRecording, source)
    await expect(work).rejects.toMatchObject({ type: 'SpoolFull' })
    const { nextTryAt } = await small.database.recording.findFirstOrThrow({ where: source })
    expect(nextTryAt!.getTime()).toBeGreaterThan(before + 100_000) // the pause after so many attempts is at least 150 s
  })
})

test('When a worker shuts down, then the row of the recording does not say that the recording waits for that', async () => {
  await nameRecording(bench.database, source.callSid, source)
  const environment = bench.environment()
  exotel.script(() => environment.cancel('WORKER_SHUTDOWN'))
  const work = environment.run(bench.activities.downloadRecording, source)
  await expect(work).rejects.toMatchObject({ type: 'WorkerShutdown' })
  expect(await bench.database.recording.findFirstOrThrow({ where: source })).toMatchObject({ errorCode: null, nextTryAt: null })
})

test('When an attempt is cancelled before Exotel answers, then its connection is closed', async () => {
  const patient = await openWorkbench({ downloads: { startMs: 200_000 } })
  try {
    let isClosed = false
    const environment = patient.environment()
    exotel.script((_request, response) => {
      response.on('close', () => (isClosed = true))
      environment.cancel('CANCELLED')
    })
    const ended = environment.run(patient.activities.downloadRecording, source).catch((error: unknown) => error)
    await eventually('the connection to be closed', async () => isClosed, 5000)
    expect(await ended).toMatchObject({ name: 'CancelledFailure' })
  } finally {
    await patient.close()
  }
})
