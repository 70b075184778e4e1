// Sources that respond slowly or endlessly. None of them holds a download slot for longer than the deadlines.
import { createHash, randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CallSid } from '../../contracts/call-sid.ts'
import { nameRecording } from '../../calls/recording-facts.ts'
import { GrowingFile } from '../../recordings/growing-file.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { eventually } from '../support/eventually.ts'
import { wholeOf } from '../support/recording-answers.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const MB = 1024 ** 2
const BYTES = randomBytes(MB)
const SHA256 = createHash('sha256').update(BYTES).digest('hex')
const START_MS = 3000
const DRIP_EVERY_MS = 50

let exotel: ScriptedServer
let bench: Workbench
let source: { callSid: CallSid; sourceUrl: string }
beforeAll(async () => {
  exotel = await startScriptedServer()
  bench = await openWorkbench({ downloads: { startMs: START_MS, pace: { idleMs: 1000, baseMs: 2000, msPerMb: 1000 } } })
})
afterAll(async () => {
  await bench?.close()
  await exotel?.close()
})
beforeEach(() => {
  source = { callSid: newCallSid(), sourceUrl: `${exotel.url}/recordings/1.mp3` }
})

const download = () => bench.run('downloadRecording', source)
const failure = (type: string, message: RegExp) => expect.objectContaining({ type, message: expect.stringMatching(message) })
const whole = wholeOf(BYTES, { etag: '"v1"' })

/** Writes until the connection is closed. */
function repeat(response: ServerResponse, write: () => unknown, everyMs = DRIP_EVERY_MS): void {
  const timer = setInterval(write, everyMs)
  response.on('close', () => {
    clearInterval(timer)
    closed += 1
  })
}
let closed = 0
beforeEach(() => {
  closed = 0
})

const dripping =
  (status: number, headers: Record<string, string | number> = {}, byte: string | Buffer = 'x'): Answer =>
  (_request, response) => {
    response.writeHead(status, headers).write(byte)
    repeat(response, () => response.write(byte))
  }

describe('When the body of a response that is not audio arrives byte by byte', () => {
  test('then a redirect is still followed', async () => {
    exotel.script(dripping(302, { location: '/elsewhere' }), whole)
    expect(await download()).toMatchObject({ sha256: SHA256 })
    await eventually('the dripping connection to be closed', async () => closed === 1)
  })

  test.each([
    [404, 'RecordingNotFound', /404/],
    [503, 'ExotelUnavailable', /503/],
    [200, 'DownloadIncomplete', /was cut/],
  ] as const)('then the attempt ends by status %i', async (status, type, message) => {
    exotel.script(dripping(status, { 'content-type': 'application/json' }, '['))
    await expect(download()).rejects.toEqual(failure(type, message))
    await eventually('the dripping connection to be closed', async () => closed === 1)
  })

  test('then all redirects together have one deadline', async () => {
    exotel.script(dripping(302, { location: '/again' }))
    await expect(download()).rejects.toEqual(failure('ExotelUnavailable', /No answer within/))
    expect(exotel.requests.length).toBeLessThan(6) // six would be one redirect too many
  })
})

test('When the body of an error never ends, then only its beginning is read', async () => {
  exotel.script(dripping(404, { 'content-type': 'application/json' }, Buffer.alloc(100_000, '[')))
  await expect(download()).rejects.toEqual(failure('RecordingNotFound', /404/))
  await eventually('the connection to be closed', async () => closed === 1)
})

test('When responses 103 arrive endlessly, then the attempt ends', async () => {
  exotel.script((_request, response) => repeat(response, () => response.writeEarlyHints({ link: '</a>; rel=preload' }), 200))
  await expect(download()).rejects.toEqual(failure('ExotelUnavailable', /No answer within|1xx/))
})

test('When a pre-signed link gets no response, then the plain link has its own deadline', async () => {
  await nameRecording(bench.database, source.callSid, { sourceUrl: source.sourceUrl, fetchUrl: `${exotel.url}/p?Signature=1` })
  exotel.script(() => {}, whole)
  expect(await download()).toMatchObject({ sha256: SHA256 })
})

describe('When audio arrives one byte at a time', () => {
  const zipped = gzipSync(BYTES)
  test.each<[string, Answer]>([
    ['with a length', dripping(200, { 'content-length': MB })],
    ['with a length of gigabytes', dripping(200, { 'content-length': 5000 * MB })],
    ['without a length', dripping(200)],
    [
      'compressed',
      (_request, response) => {
        let at = 0
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': zipped.length })
        repeat(response, () => response.write(zipped.subarray(at, (at += 1))))
      },
    ],
  ])('then the attempt ends: %s', async (_how, answer) => {
    exotel.script(answer)
    await expect(download()).rejects.toEqual(failure('DownloadIncomplete', /too slow/))
    await eventually('the connection to be closed', async () => closed === 1)
  })
})

test('When audio stops in the middle, then the attempt ends, and the next one continues', async () => {
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length, etag: '"v1"' }).write(BYTES.subarray(0, MB / 2))
  })
  await expect(download()).rejects.toEqual(failure('DownloadIncomplete', /too slow: 524288 bytes/))
  exotel.script((_request, response) =>
    response
      .writeHead(206, { 'content-range': `bytes ${MB / 2}-${MB - 1}/${MB}`, 'content-length': MB / 2, etag: '"v1"' })
      .end(BYTES.subarray(MB / 2)),
  )
  expect(await download()).toMatchObject({ sha256: SHA256 })
  expect(exotel.requests[0]!.headers.range).toBe(`bytes=${MB / 2}-`)
})

test('When the start and the transfer together take longer than the deadline of the start, then the recording is stored', async () => {
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length })
    let at = 0
    const step = Math.ceil(MB / 14)
    const timer = setInterval(() => {
      response.write(BYTES.subarray(at, (at += step)))
      if (at < MB) return
      clearInterval(timer)
      response.end()
    }, 100)
  })
  const slow = await openWorkbench({ downloads: { startMs: 500, pace: { idleMs: 5000, baseMs: 60_000, msPerMb: 1000 } } })
  try {
    expect(await slow.run('downloadRecording', source)).toMatchObject({ sha256: SHA256 })
  } finally {
    await slow.close()
  }
})

describe('When the server ends the connection while the disk is slower than the network', () => {
  test.each<[string, Record<string, string | number>]>([
    ['with a length', { 'content-length': BYTES.length, connection: 'close' }],
    ['without a length', { connection: 'close' }],
  ])('then every byte is stored: %s', async (_how, headers) => {
    for (let i = 0; i < 5; i += 1) {
      source = { ...source, callSid: newCallSid() }
      let ended = false
      exotel.script((_request, response) => {
        response.useChunkedEncodingByDefault = false
        response.writeHead(200, headers).end(BYTES, () => (ended = true))
      })
      const write = jest.spyOn(GrowingFile.prototype, 'append').mockImplementation(async function (this: GrowingFile, chunk: Buffer) {
        await eventually('the server to end the connection', async () => ended)
        await nextTurn()
        return append.call(this, chunk)
      })
      try {
        expect(await download()).toMatchObject({ bytes: BYTES.length, sha256: SHA256 })
      } finally {
        write.mockRestore()
      }
    }
  })
  const { append } = GrowingFile.prototype
})

describe('When all download slots are held by downloads without progress', () => {
  let slots: Workbench
  beforeAll(async () => {
    slots = await openWorkbench({ downloads: { slots: 2, startMs: 60_000 } })
  })
  afterAll(() => slots?.close())
  afterEach(() => {
    jest.useRealTimers()
  })

  test('then an alarm is raised until one of them makes progress', async () => {
    jest.useFakeTimers({
      doNotFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'nextTick', 'queueMicrotask', 'Date'],
    })
    const waiting: ServerResponse[] = []
    exotel.script((_request, response) => void waiting.push(response))
    const start = () => slots.run('downloadRecording', { callSid: newCallSid(), sourceUrl: source.sourceUrl })
    const first = start()
    await eventually('the first request', async () => waiting.length === 1)
    jest.advanceTimersByTime(30_000)
    expect(slots.alarms.active()).toEqual([])

    const ended = Promise.allSettled([first, start()])
    await eventually('the second request', async () => waiting.length === 2)
    jest.advanceTimersByTime(30_000)
    expect(slots.alarms.active()).toMatchObject([{ name: 'DownloadsStalled', reason: expect.stringContaining('All 2 download slots') }])

    waiting[0]!.writeHead(200, { 'content-length': BYTES.length }).write(BYTES.subarray(0, MB / 2))
    await eventually('the alarm to end', async () => slots.alarms.active().length === 0)
    waiting[0]!.end(BYTES.subarray(MB / 2))
    waiting[1]!.writeHead(404).end()
    expect(await ended).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected' }])
  })
})
