// The bytes of a recording: complete, interrupted, compressed, and with a wrong or missing length.
import { createHash, randomBytes } from 'node:crypto'
import { truncateSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { restOf, status, wholeOf } from '../support/recording-answers.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const MB = 1024 ** 2
const BYTES = randomBytes(3 * MB)
const SHA256 = createHash('sha256').update(BYTES).digest('hex')
const MD5 = createHash('md5').update(BYTES).digest('hex')

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

const whole = wholeOf(BYTES, { etag: '"v1"' })
const rest = restOf(BYTES, { etag: '"v1"' })
const cutAt =
  (bytes: number, headers: Record<string, string | number> = { 'content-length': BYTES.length, etag: '"v1"' }): Answer =>
  (_request, response) => {
    response.writeHead(200, headers)
    response.write(BYTES.subarray(0, bytes), () => response.destroy())
  }
const failure = (type: string, more: object = {}) => expect.objectContaining({ type, ...more })

test('When a recording is downloaded completely, then it is in the spool with its hash, and a second call sends no request', async () => {
  exotel.script(whole)
  const spooled = await download()
  expect(spooled).toEqual({ queue: bench.spool.queue, file: file(), bytes: BYTES.length, sha256: SHA256, etag: MD5 })
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
  exotel.script(status(500))
  expect(await download()).toMatchObject({ bytes: BYTES.length, sha256: SHA256 }) // it is known to be complete
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
