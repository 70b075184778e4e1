import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, truncateSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { nameRecording } from '../../calls/recording-facts.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const BYTES = randomBytes(3 * 1024 ** 2)
const SHA256 = createHash('sha256').update(BYTES).digest('hex')
const MB = 1024 ** 2

let exotel: ScriptedServer
let bench: Workbench
let source: { callSid: CallSid; sourceUrl: string }
beforeAll(async () => {
  exotel = await startScriptedServer()
  bench = await openWorkbench({ maxBytes: 4 * MB })
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

const whole: Answer = (_request, response) => response.writeHead(200, { 'content-length': BYTES.length, etag: '"v1"' }).end(BYTES)
const status =
  (code: number, headers: Record<string, string> = {}, body = ''): Answer =>
  (_request, response) =>
    response.writeHead(code, headers).end(body)
const cutAt =
  (bytes: number, headers: Record<string, string | number> = { 'content-length': BYTES.length, etag: '"v1"' }): Answer =>
  (_request, response) => {
    response.writeHead(200, headers)
    response.write(BYTES.subarray(0, bytes), () => response.destroy())
  }
const rest: Answer = (request, response) => {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1])
  response.writeHead(206, {
    'content-range': `bytes ${from}-${BYTES.length - 1}/${BYTES.length}`,
    'content-length': BYTES.length - from,
    etag: '"v1"',
  })
  response.end(BYTES.subarray(from))
}
const failure = (type: string, more: object = {}) => expect.objectContaining({ type, ...more })

test('When a recording comes whole, then it lies in the spool with its hash, and a second call asks nobody', async () => {
  exotel.script(whole)
  const spooled = await download()
  expect(spooled).toEqual({ queue: bench.spool.queue, file: file(), bytes: BYTES.length, sha256: SHA256 })
  expect(exotel.requests[0]!.headers.authorization).toBe(`Basic ${Buffer.from('key:token-of-the-account').toString('base64')}`)
  exotel.script(status(500))
  expect(await download()).toEqual(spooled)
  expect(exotel.requests).toEqual([])
})

describe('When a transfer is cut', () => {
  test('then the next try goes on from the length on disk, and the hash is that of the whole', async () => {
    exotel.script(cutAt(2 * MB))
    await expect(download()).rejects.toEqual(
      failure('DownloadIncomplete', { nonRetryable: true, details: [expect.objectContaining({ queue: bench.spool.queue })] }),
    )
    const reached = await bench.spool.bytesOf(file())
    expect(reached).toBeGreaterThan(MB)
    exotel.script(rest)
    expect(await download()).toMatchObject({ bytes: BYTES.length, sha256: SHA256 })
    expect(exotel.requests[0]!.headers).toMatchObject({ range: `bytes=${reached}-`, 'if-range': '"v1"' })
  })

  test('then it starts again where the source has changed or cannot resume', async () => {
    exotel.script(cutAt(MB))
    await expect(download()).rejects.toThrow()
    exotel.script(whole)
    expect(await download()).toMatchObject({ sha256: SHA256 })

    source = { ...source, callSid: newCallSid() }
    exotel.script(cutAt(MB, { 'content-length': BYTES.length }), whole)
    await expect(download()).rejects.toThrow()
    expect(await download()).toMatchObject({ sha256: SHA256 })
    expect(exotel.requests[1]!.headers.range).toBeUndefined()
  })

  test('then a file that was shortened on disk is downloaded again, not trusted', async () => {
    exotel.script(whole)
    await download()
    truncateSync(bench.spool.path(file()), MB)
    expect(await download()).toMatchObject({ bytes: BYTES.length, sha256: SHA256 })
    expect(exotel.requests).toHaveLength(2)
  })
})

describe('When the length is a lie', () => {
  test('then the rest of a recording that ends early, cleanly and in chunks, is incomplete', async () => {
    exotel.script(cutAt(2 * MB))
    await expect(download()).rejects.toThrow()
    exotel.script((_request, response) => {
      const from = Number(/^bytes=(\d+)-$/.exec(_request.headers.range ?? '')?.[1])
      response.writeHead(206, { 'content-range': `bytes ${from}-${BYTES.length - 1}/${BYTES.length}`, etag: '"v1"' })
      response.end(BYTES.subarray(from, from + 1000))
    })
    await expect(download()).rejects.toEqual(failure('DownloadIncomplete'))
  })

  test.each([
    ['longer than what comes', cutAt(BYTES.length, { 'content-length': BYTES.length + 10 })],
    [
      'a part that nobody asked for',
      ((_r, response) =>
        response
          .writeHead(206, { 'content-range': `bytes 10-20/${BYTES.length}`, 'content-length': 11 })
          .end(BYTES.subarray(10, 21))) as Answer,
    ],
    ['chunked, cut in a chunk', (_r, response) => void response.write(BYTES.subarray(0, MB), () => response.destroy())],
  ])('then %s is an incomplete download', async (_how, answer) => {
    exotel.script(answer)
    await expect(download()).rejects.toEqual(failure('DownloadIncomplete'))
  })

  test('then none at all is taken as it comes', async () => {
    exotel.script((_request, response) => response.writeHead(200, { connection: 'close' }).end(BYTES))
    expect(await download()).toMatchObject({ bytes: BYTES.length })
  })
})

test('When the body is zipped though nobody asked, then the true bytes are spooled', async () => {
  const zipped = gzipSync(BYTES)
  exotel.script((_request, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': zipped.length }).end(zipped),
  )
  expect(await download()).toMatchObject({ bytes: BYTES.length, sha256: SHA256 })
  source = { ...source, callSid: newCallSid() }
  exotel.script((_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(zipped.subarray(0, 1000)))
  await expect(download()).rejects.toEqual(failure('DownloadIncomplete'))
})

test('When a zipped body breaks before its first byte is read, then the download ends', async () => {
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': 100 }).flushHeaders()
    response.destroy()
  })
  await expect(download()).rejects.toEqual(failure('DownloadIncomplete'))
})

test('When the recording is larger than the limit, announced or not, then it is refused', async () => {
  const large = Buffer.alloc(5 * MB)
  for (const headers of [{ 'content-length': large.length }, {}]) {
    source = { ...source, callSid: newCallSid() }
    exotel.script((_request, response) => response.writeHead(200, headers).end(large))
    await expect(download()).rejects.toEqual(failure('RecordingTooLarge', { nonRetryable: true }))
  }
})

test('When a body without a length begins like JSON and is none, then it is taken as it is', async () => {
  for (const body of ['{', '{"state":"processing"', `{${'x'.repeat(5000)}}`, '{\0\0\0{']) {
    exotel.script((_request, response) => response.writeHead(200, { 'content-type': 'audio/basic' }).write(body, () => response.end()))
    source = { callSid: newCallSid(), sourceUrl: source.sourceUrl }
    expect(await download()).toMatchObject({ bytes: Buffer.byteLength(body) })
  }
})

test('When audio is labelled as JSON and has no length, then its content decides', async () => {
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write(BYTES.subarray(0, 1))
    setTimeout(() => response.end(BYTES.subarray(1)), 50)
  })
  expect(await download()).toMatchObject({ bytes: BYTES.length, sha256: SHA256 })
})

test('When audio is labelled as JSON, then its content decides', async () => {
  exotel.script((_request, response) =>
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': BYTES.length }).end(BYTES),
  )
  expect(await download()).toMatchObject({ sha256: SHA256 })
})

describe('When Exotel answers something else, then the failure says what:', () => {
  test.each([
    ['404', status(404), 'RecordingNotFound'],
    ['202', status(202), 'RecordingNotFound'],
    ['processing', status(200, { 'content-type': 'application/json' }, '{"state":"processing"}'), 'RecordingNotFound'],
    ['expired', status(200, { 'content-type': 'application/json' }, '{"state":"expired"}'), 'RecordingExpired'],
    [
      'processing, without a length',
      (_request, response) => response.writeHead(200).end('\n {"status": "processing"}'),
      'RecordingNotFound',
    ],
    ['processing, labelled as audio', status(200, { 'content-type': 'audio/mpeg' }, '{"state":"processing"}'), 'RecordingNotFound'],
    [
      'processing, behind another status',
      status(200, { 'content-type': 'application/json' }, '{"status":"success","recording_state":"processing"}'),
      'RecordingNotFound',
    ],
    ['some JSON', status(200, { 'content-type': 'application/json' }, '{"a":1}'), 'RecordingInvalid'],
    ['410', status(410), 'RecordingExpired'],
    ['401', status(401), 'ExotelUnauthorized'],
    ['403', status(403), 'ExotelUnauthorized'],
    ['500', status(500), 'ExotelUnavailable'],
    ['a broken answer', ((request) => request.socket.end('HTTP/1.1 banana\r\n\r\n')) as Answer, 'ExotelUnavailable'],
    ['nothing', ((request) => request.socket.destroy()) as Answer, 'ExotelUnavailable'],
    ['a loop', status(302, { location: '/again' }), 'ExotelUnavailable'],
    ['the metadata service', status(302, { location: 'http://169.254.169.254/' }), 'RecordingUrlRefused'],
    ['a file', status(302, { location: 'file:///etc/passwd' }), 'RecordingUrlRefused'],
  ])('%s', async (_how, answer, type) => {
    exotel.script(answer)
    await expect(download()).rejects.toEqual(failure(type, { nonRetryable: true }))
  })

  test('429 ends the attempt, so that the workflow waits as long as Exotel asks', async () => {
    exotel.script(status(429, { 'retry-after': '7' }))
    await expect(download()).rejects.toEqual(
      failure('ExotelRateLimited', { nonRetryable: true, details: [expect.objectContaining({ retryAfterMs: 7000 })] }),
    )
  })

  test('503 with Retry-After, which the workflow is told', async () => {
    exotel.script(status(503, { 'retry-after': '30' }))
    await expect(download()).rejects.toEqual(failure('ExotelUnavailable', { details: [expect.objectContaining({ retryAfterMs: 30_000 })] }))
  })
})

test('When a redirect leads elsewhere, then our key stays at home', async () => {
  const elsewhere = await startScriptedServer()
  try {
    elsewhere.script(whole)
    exotel.script(status(302, { location: elsewhere.url.replace('127.0.0.1', 'localhost') }))
    expect(await download()).toMatchObject({ sha256: SHA256 })
    expect(elsewhere.requests[0]!.headers.authorization).toBeUndefined()
  } finally {
    await elsewhere.close()
  }
})

test('When a host is not one of Exotel’s, then nothing is asked, and an alarm stands', async () => {
  source = { ...source, sourceUrl: exotel.url.replace('127.0.0.1', 'localhost') }
  exotel.script(whole)
  await expect(download()).rejects.toEqual(failure('RecordingHostNotAllowed'))
  expect(exotel.requests).toEqual([])
  expect(bench.alarms.active()).toMatchObject([{ name: 'RecordingHostNotAllowed' }])
})

test('When a host is not allowed, then other calls that go well do not end its alarm', async () => {
  const good = { ...source }
  exotel.script(whole)
  await expect(bench.run('downloadRecording', { ...source, sourceUrl: exotel.url.replace('127.0.0.1', 'localhost') })).rejects.toThrow()
  await bench.run('downloadRecording', good)
  expect(bench.alarms.active()).toMatchObject([{ name: 'RecordingHostNotAllowed' }])
})

test('When an allowed name resolves to a private address, then no connection is made', async () => {
  const strict = await openWorkbench({ policy: { hosts: [`localhost:${new URL(exotel.url).port}`], publicHosts: [], allowLocal: false } })
  try {
    exotel.script(whole)
    const sourceUrl = exotel.url.replace('http://127.0.0.1', 'https://localhost')
    await expect(strict.run('downloadRecording', { callSid: source.callSid, sourceUrl })).rejects.toEqual(
      failure('RecordingUrlRefused', { nonRetryable: true }),
    )
    expect(exotel.requests).toEqual([])
  } finally {
    await strict.close()
  }
})

test('When the row has a pre-signed link, then it is tried first, without our key, and the plain one after a refusal', async () => {
  await nameRecording(bench.database, source.callSid, {
    sourceUrl: source.sourceUrl,
    fetchUrl: `${exotel.url.replace('127.0.0.1', 'localhost')}/p?Signature=1`,
  })
  exotel.script(status(403), whole)
  expect(await download()).toMatchObject({ sha256: SHA256 })
  expect(exotel.requests.map(({ url, headers }) => [url, headers.authorization !== undefined])).toEqual([
    ['/p?Signature=1', false],
    ['/recordings/1.mp3', true],
  ])
})

test('When a pre-signed link fails in whatever way, then the plain one decides, but where it is only refused', async () => {
  await nameRecording(bench.database, source.callSid, { sourceUrl: source.sourceUrl, fetchUrl: `${exotel.url}/presigned/x?Signature=s` })
  for (const stale of [404, 410, 503]) {
    exotel.script(status(stale), status(502))
    await expect(download()).rejects.toEqual(failure('ExotelUnavailable', { message: 'Exotel responded 502' }))
    exotel.script(status(stale), status(401))
    await expect(download()).rejects.toEqual(
      failure(stale === 404 ? 'RecordingNotFound' : stale === 410 ? 'RecordingExpired' : 'ExotelUnavailable'),
    )
  }
  exotel.script(status(404), whole)
  expect(await download()).toMatchObject({ sha256: SHA256 })
})

test('When the spool is full, then the task is given back, and its row says so', async () => {
  const small = await openWorkbench({ limits: { maxBytes: 2 * MB, minFreeBytes: 0 } })
  try {
    exotel.script(whole)
    await nameRecording(small.database, source.callSid, source)
    await expect(small.run('downloadRecording', source)).rejects.toEqual(failure('SpoolFull', { nonRetryable: false, category: 'BENIGN' }))
    expect(await small.database.recording.findFirst({ where: source })).toMatchObject({
      state: 'awaiting',
      errorCode: 'SpoolFull',
      nextTryAt: expect.any(Date),
    })
    expect(await small.spool.files()).toEqual([])
  } finally {
    await small.close()
  }
})

describe('When nobody announces how many bytes will come', () => {
  const limited = (maxBytes: number) => openWorkbench({ limits: { maxBytes, minFreeBytes: 0 } })
  const large = Buffer.alloc(30 * MB, 'audio')

  test.each<[string, Answer]>([
    ['in chunks', (_request, response) => void response.writeHead(200, { etag: '"v1"' }).end(large)],
    [
      'compressed, with the length of the compressed body',
      (_request, response) => {
        const zipped = gzipSync(large)
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': zipped.length }).end(zipped)
      },
    ],
  ])('then 30 MB do not get into a spool of 1 MB: %s', async (_how, answer) => {
    const small = await limited(MB)
    try {
      exotel.script(answer)
      await expect(small.run('downloadRecording', source)).rejects.toEqual(
        failure('SpoolFull', { nonRetryable: false, category: 'BENIGN' }),
      )
      expect(readdirSync(small.spool.directory).filter((name) => name !== '.lock')).toEqual([])
    } finally {
      await small.close()
    }
  })

  test('then what fits is taken', async () => {
    const enough = await limited(48 * MB)
    try {
      exotel.script((_request, response) => response.writeHead(200).end(large))
      expect(await enough.run('downloadRecording', source)).toMatchObject({ bytes: large.length })
    } finally {
      await enough.close()
    }
  })
})

test('When the activity is cancelled, then the transfer stops at once and what has arrived stays', async () => {
  const environment = bench.environment()
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length, etag: '"v1"' })
    response.write(BYTES.subarray(0, MB), () => environment.cancel('CANCELLED'))
  })
  await expect(environment.run(bench.activities.downloadRecording as never, source as never)).rejects.toMatchObject({
    name: 'CancelledFailure',
  })
})

test('When a worker shuts down, then the task goes to the next one', async () => {
  const environment = bench.environment()
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length, etag: '"v1"' })
    response.write(BYTES.subarray(0, MB), () => environment.cancel('WORKER_SHUTDOWN'))
  })
  await expect(environment.run(bench.activities.downloadRecording as never, source as never)).rejects.toEqual(
    failure('WorkerShutdown', { nonRetryable: false }),
  )
})

test('When two tries write one file, then the earlier one ends first', async () => {
  let second: Promise<unknown> | undefined
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length })
    response.write(BYTES.subarray(0, MB), () => (second = download()))
  }, whole)
  await expect(download()).rejects.toThrow()
  expect(await second).toMatchObject({ sha256: SHA256 })
})
