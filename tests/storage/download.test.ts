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

test('When a recording is downloaded completely, then it is in the spool with its hash, and a second call sends no request', async () => {
  exotel.script(whole)
  const spooled = await download()
  expect(spooled).toEqual({ queue: bench.spool.queue, file: file(), bytes: BYTES.length, sha256: SHA256 })
  expect(exotel.requests[0]!.headers.authorization).toBe(`Basic ${Buffer.from('key:token-of-the-account').toString('base64')}`)
  exotel.script(status(500))
  expect(await download()).toEqual(spooled)
  expect(exotel.requests).toEqual([])
})

describe('When a transfer is interrupted', () => {
  test('then the next attempt continues from the length on disk, and the hash is that of the whole recording', async () => {
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

  test('then the download starts again if the source has changed or does not support ranges', async () => {
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

  test('then a file that was shortened on disk is not trusted and is downloaded again', async () => {
    exotel.script(whole)
    await download()
    truncateSync(bench.spool.path(file()), MB)
    expect(await download()).toMatchObject({ bytes: BYTES.length, sha256: SHA256 })
    expect(exotel.requests).toHaveLength(2)
  })
})

describe('When the announced length is wrong or missing', () => {
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
    ['a length greater than that of the body', cutAt(BYTES.length, { 'content-length': BYTES.length + 10 })],
    [
      'a part that was not requested',
      ((_r, response) =>
        response
          .writeHead(206, { 'content-range': `bytes 10-20/${BYTES.length}`, 'content-length': 11 })
          .end(BYTES.subarray(10, 21))) as Answer,
    ],
    [
      'a chunked body that is interrupted in a chunk',
      (_r, response) => void response.write(BYTES.subarray(0, MB), () => response.destroy()),
    ],
  ])('then %s is an incomplete download', async (_how, answer) => {
    exotel.script(answer)
    await expect(download()).rejects.toEqual(failure('DownloadIncomplete'))
  })

  test('then a body without a length is accepted as it arrives', async () => {
    exotel.script((_request, response) => response.writeHead(200, { connection: 'close' }).end(BYTES))
    expect(await download()).toMatchObject({ bytes: BYTES.length })
  })
})

test('When the body is compressed although this was not requested, then the decompressed bytes are spooled', async () => {
  const zipped = gzipSync(BYTES)
  exotel.script((_request, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': zipped.length }).end(zipped),
  )
  expect(await download()).toMatchObject({ bytes: BYTES.length, sha256: SHA256 })
  source = { ...source, callSid: newCallSid() }
  exotel.script((_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(zipped.subarray(0, 1000)))
  await expect(download()).rejects.toEqual(failure('DownloadIncomplete'))
})

test('When a compressed body is interrupted before its first byte is read, then the download ends', async () => {
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': 100 }).flushHeaders()
    response.destroy()
  })
  await expect(download()).rejects.toEqual(failure('DownloadIncomplete'))
})

test('When more bytes than the limit arrive, then the recording is refused', async () => {
  exotel.script((_request, response) => response.writeHead(200).end(Buffer.alloc(5 * MB)))
  await expect(download()).rejects.toEqual(failure('RecordingTooLarge', { nonRetryable: true }))
})

test('When a body without a length starts like JSON but is not JSON, then it is accepted as it is', async () => {
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

describe('When Exotel does not send a recording, then the failure has the matching code:', () => {
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
    ['an invalid HTTP response', ((request) => request.socket.end('HTTP/1.1 banana\r\n\r\n')) as Answer, 'ExotelUnavailable'],
    ['no response', ((request) => request.socket.destroy()) as Answer, 'ExotelUnavailable'],
    ['a redirect loop', status(302, { location: '/again' }), 'ExotelUnavailable'],
    ['a redirect to the metadata service', status(302, { location: 'http://169.254.169.254/' }), 'ExotelUnavailable'],
    ['a redirect to a file URL', status(302, { location: 'file:///etc/passwd' }), 'ExotelUnavailable'],
  ])('%s', async (_how, answer, type) => {
    exotel.script(answer)
    await expect(download()).rejects.toEqual(failure(type, { nonRetryable: true }))
  })

  test('429 ends the attempt, and the details contain Retry-After for the workflow', async () => {
    exotel.script(status(429, { 'retry-after': '7' }))
    await expect(download()).rejects.toEqual(
      failure('ExotelRateLimited', { nonRetryable: true, details: [expect.objectContaining({ retryAfterMs: 7000 })] }),
    )
  })

  test('503 ends the attempt, and the details contain Retry-After for the workflow', async () => {
    exotel.script(status(503, { 'retry-after': '30' }))
    await expect(download()).rejects.toEqual(failure('ExotelUnavailable', { details: [expect.objectContaining({ retryAfterMs: 30_000 })] }))
  })
})

test('When a redirect leads to another host, then our key is not sent to it', async () => {
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

test('When a host is not allowed, then no request is sent, and an alarm is raised', async () => {
  source = { ...source, sourceUrl: exotel.url.replace('127.0.0.1', 'localhost') }
  exotel.script(whole)
  await expect(download()).rejects.toEqual(failure('RecordingHostNotAllowed'))
  expect(exotel.requests).toEqual([])
  expect(bench.alarms.active()).toMatchObject([{ name: 'RecordingHostNotAllowed' }])
})

test('When a host is not allowed, then successful downloads of other calls do not clear its alarm', async () => {
  const good = { ...source }
  exotel.script(whole)
  await expect(bench.run('downloadRecording', { ...source, sourceUrl: exotel.url.replace('127.0.0.1', 'localhost') })).rejects.toThrow()
  await bench.run('downloadRecording', good)
  expect(bench.alarms.active()).toMatchObject([{ name: 'RecordingHostNotAllowed' }])
})

test('When the row has a pre-signed link, then it is requested first, without our key, and the plain link after a refusal', async () => {
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

test('When the spool is full, then the task waits, and its row contains the reason', async () => {
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

describe('When the length of the recording is not announced', () => {
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
  ])('then 30 MB are not accepted into a spool of 1 MB: %s', async (_how, answer) => {
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

  test('then a recording that fits is accepted', async () => {
    const enough = await limited(48 * MB)
    try {
      exotel.script((_request, response) => response.writeHead(200).end(large))
      expect(await enough.run('downloadRecording', source)).toMatchObject({ bytes: large.length })
    } finally {
      await enough.close()
    }
  })
})

test('When the activity is cancelled, then the transfer stops immediately, and the bytes that arrived stay', async () => {
  const environment = bench.environment()
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length, etag: '"v1"' })
    response.write(BYTES.subarray(0, MB), () => environment.cancel('CANCELLED'))
  })
  await expect(environment.run(bench.activities.downloadRecording as never, source as never)).rejects.toMatchObject({
    name: 'CancelledFailure',
  })
})

test('When a worker shuts down, then the task is retried by another worker', async () => {
  const environment = bench.environment()
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length, etag: '"v1"' })
    response.write(BYTES.subarray(0, MB), () => environment.cancel('WORKER_SHUTDOWN'))
  })
  await expect(environment.run(bench.activities.downloadRecording as never, source as never)).rejects.toEqual(
    failure('WorkerShutdown', { nonRetryable: false }),
  )
})

test('When two attempts write one file, then the earlier one ends first', async () => {
  let second: Promise<unknown> | undefined
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length })
    response.write(BYTES.subarray(0, MB), () => (second = download()))
  }, whole)
  await expect(download()).rejects.toThrow()
  expect(await second).toMatchObject({ sha256: SHA256 })
})
