// Bodies with a Content-Encoding, and bodies that violate the encoding that they are sent with.
import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { Incomplete, Spooled } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { mp3 } from '../support/audio.ts'
import { eventually } from '../support/eventually.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const AUDIO = mp3()
const HTML = '<html><body>Bad gateway</body></html>'

let exotel: ScriptedServer
let bench: Workbench
let source: { callSid: CallSid; sourceUrl: string }
beforeAll(async () => {
  exotel = await startScriptedServer()
  bench = await openWorkbench({ maxBytes: 4 * 1024 ** 2 })
})
afterAll(async () => {
  await bench?.close()
  await exotel?.close()
})
beforeEach(() => {
  source = { callSid: newCallSid(), sourceUrl: `${exotel.url}/recordings/1.mp3` }
})

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const sent =
  (encoding: string, body: Buffer | string): Answer =>
  (_request, response) =>
    response.writeHead(200, { 'content-encoding': encoding, 'content-length': body.length }).end(body)
/** The second chunk has no length; it is sent when the first one has arrived. */
const brokenChunk =
  (start: Buffer): Answer =>
  async ({ socket }) => {
    const file = bench.spool.fileFor(source.callSid, source.sourceUrl)
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    if (start.length > 0) {
      socket.write(Buffer.concat([Buffer.from(`${start.length.toString(16)}\r\n`), start, Buffer.from('\r\n')]))
      await eventually('the chunk to be written', async () => (await bench.spool.bytesOf(file)) === start.length)
    }
    socket.end('no length\r\n')
  }
const download = (): Promise<Spooled> => bench.run('downloadRecording', source)
const keep = (): Promise<Incomplete> => bench.run('keepIncomplete', source)
const validate = (spooled: Spooled) => bench.run('validateRecording', { callSid: source.callSid, spooled })
const incomplete = (message: RegExp) => expect.objectContaining({ type: 'DownloadIncomplete', message: expect.stringMatching(message) })

test.each<[string, string, Buffer]>([
  ['gzip', 'gzip', gzipSync(AUDIO)],
  ['gzip by its old name', 'x-gzip', gzipSync(AUDIO)],
  ['gzip in upper case', 'GZIP', gzipSync(AUDIO)],
  ['deflate', 'deflate', deflateSync(AUDIO)],
  ['deflate without the zlib header', 'deflate', deflateRawSync(AUDIO)],
  ['Brotli', 'br', brotliCompressSync(AUDIO)],
  ['gzip and Brotli', 'gzip, br', brotliCompressSync(gzipSync(AUDIO))],
  ['gzip and an encoding that changes no bytes', 'gzip, aws-chunked', gzipSync(AUDIO)],
  ['gzip three times', 'gzip, gzip, x-gzip', gzipSync(gzipSync(gzipSync(AUDIO)))],
  ['gzip whose blocks are stored', 'gzip', gzipSync(AUDIO, { level: 0 })],
  ['gzip in two members', 'gzip', Buffer.concat([gzipSync(AUDIO.subarray(0, 1000)), gzipSync(AUDIO.subarray(1000))])],
  ['gzip before other bytes', 'gzip', Buffer.concat([gzipSync(AUDIO), Buffer.alloc(100_000)])],
  ['deflate whose blocks are stored', 'deflate', deflateSync(AUDIO, { level: 0 })],
  ['deflate whose blocks are stored, without the zlib header', 'deflate', deflateRawSync(AUDIO, { level: 0 })],
])('When a body is compressed with %s, then the recording is what it decompresses to', async (_how, encoding, body) => {
  exotel.script(sent(encoding, body))
  expect(await download()).toMatchObject({ bytes: AUDIO.length, sha256: sha256(AUDIO) })
  expect(
    readdirSync(bench.spool.directory).filter((name) => name.startsWith(source.callSid) && !/-[0-9a-f]{12}(\.json)?$/.test(name)),
  ).toEqual([])
})

test.each(['gzip', 'deflate', 'br', 'x-gzip', 'zstd', 'aws-chunked'])(
  'When audio is labelled %s without being compressed, then its content decides',
  async (encoding) => {
    exotel.script(sent(encoding, AUDIO))
    expect(await download()).toMatchObject({ bytes: AUDIO.length, sha256: sha256(AUDIO) })
  },
)

test.each<[string, string, number[]]>([
  ['a Brotli stream of nothing', 'br', [0x39, 0x49]],
  ['a short deflate stream', 'deflate', [0x4b, 0x3a]],
  ['an empty deflate stream', 'deflate', [0x03, 0x00]],
  ['an empty Brotli stream', 'br', [0x06]],
])('When audio after %s has that label, then no byte of it is lost', async (_what, encoding, lead) => {
  const body = Buffer.concat([Buffer.from(lead), AUDIO])
  exotel.script(sent(encoding, body))
  expect(await download()).toMatchObject({ bytes: body.length, sha256: sha256(body) })
})

test('When a file of a format that is not accepted starts like a Brotli stream, then its content decides', async () => {
  const webm = readFileSync(new URL('../corpus/base/other.mkv', import.meta.url))
  exotel.script(sent('br', webm))
  expect(await validate(await download())).toMatchObject({ kind: 'damaged', audio: { extension: 'webm' } })
})

test('When a body is a compressed empty file, then it is empty', async () => {
  exotel.script(sent('gzip', gzipSync('')))
  expect(await download()).toMatchObject({ bytes: 0 })
})

test('When an HTML page is labelled as compressed, then it is still an HTML page', async () => {
  exotel.script(sent('gzip', HTML))
  expect(await validate(await download())).toMatchObject({ kind: 'refused', reason: expect.stringContaining('HTML') })
})

describe('When a body does not decompress', () => {
  const half = gzipSync(randomBytes(5000)).subarray(0, 2000)
  const stored = gzipSync(AUDIO, { level: 0 })
  const cases: [string, string, Buffer][] = [
    ['gzip that is cut off', 'gzip', half],
    ['gzip of stored blocks with a wrong checksum', 'gzip', Buffer.concat([stored.subarray(0, -8), Buffer.alloc(4), stored.subarray(-4)])],
    ['gzip of stored blocks without its checksum', 'gzip', stored.subarray(0, -8)],
    ['deflate of stored blocks without its checksum', 'deflate', deflateSync(AUDIO, { level: 0 }).subarray(0, -4)],
    ['gzip in gzip that is cut off', 'gzip, gzip', gzipSync(half)],
    ['gzip with wrong bytes in the middle', 'gzip', Buffer.concat([half.subarray(0, 500), Buffer.alloc(100), half])],
    [
      'deflate of stored blocks that breaks off, without the zlib header',
      'deflate',
      deflateRawSync(AUDIO, { level: 0 }).subarray(0, 5 + 417 * 5),
    ],
    ['deflate that is cut off', 'deflate', deflateSync(randomBytes(5000)).subarray(0, 2000)],
    ['Brotli that is cut off', 'br', brotliCompressSync(randomBytes(5000)).subarray(0, 2000)],
  ]
  test.each(cases)('then it is requested again: %s', async (_how, encoding, body) => {
    exotel.script(sent(encoding, body))
    await expect(download()).rejects.toEqual(incomplete(/does not decompress/))
  })

  test.each(cases)('then its raw bytes go to quarantine after the last attempt: %s', async (_how, encoding, body) => {
    exotel.script(sent(encoding, body))
    await expect(download()).rejects.toThrow()
    const spooled = (await keep()).spooled!
    expect(readFileSync(bench.spool.path(spooled.file))).toEqual(body)
    const verdict = await validate(spooled)
    expect(verdict).toMatchObject({ kind: 'damaged', reason: expect.stringContaining('does not decompress') })
    const { key } = await bench.run('uploadRecording', { ...source, spooled, verdict: verdict as never })
    expect(key).toMatch(/^quarantine\/.+\.bin$/)
    expect(await bench.bucket.sha256Of(key)).toBe(sha256(body))
  })
})

test('When a compressed body is longer than the limit, then it is too large', async () => {
  exotel.script(sent('gzip', gzipSync(Buffer.alloc(5 * 1024 ** 2))))
  await expect(download()).rejects.toEqual(expect.objectContaining({ type: 'RecordingTooLarge' }))
})

describe('When a body violates the chunked encoding', () => {
  test('then it is requested again', async () => {
    exotel.script(brokenChunk(AUDIO))
    await expect(download()).rejects.toEqual(incomplete(/chunk/i))
  })

  test('then the bytes that arrived go to quarantine after the last attempt', async () => {
    exotel.script(brokenChunk(AUDIO))
    await expect(download()).rejects.toThrow()
    const { spooled } = await keep()
    expect(spooled).toMatchObject({ bytes: AUDIO.length, sha256: sha256(AUDIO) })
    expect(await validate(spooled!)).toMatchObject({ kind: 'damaged', reason: expect.stringMatching(/chunk/i) })
  })

  test('then nothing is kept if no byte arrived', async () => {
    exotel.script(brokenChunk(Buffer.alloc(0)))
    await expect(download()).rejects.toThrow()
    expect(await keep()).toEqual({})
  })
})

describe('When audio is labelled as JSON', () => {
  test.each<[string, Answer]>([
    ['in chunks', (_request, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(AUDIO)],
    [
      'of a short length',
      (_request, response) =>
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': 2080 }).end(AUDIO.subarray(0, 2080)),
    ],
    [
      'whose first byte arrives late',
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/vnd.api+json' }).flushHeaders()
        setImmediate(() => response.write(AUDIO.subarray(0, 1), () => response.end(AUDIO.subarray(1))))
      },
    ],
  ])('%s, then its content decides', async (_how, answer) => {
    exotel.script(answer)
    const spooled = await download()
    expect(readFileSync(bench.spool.path(spooled.file))).toEqual(AUDIO.subarray(0, spooled.bytes))
    expect([2080, AUDIO.length]).toContain(spooled.bytes)
  })

  test('then a state after whitespace is still a state', async () => {
    exotel.script((_request, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end('\n  {"state": "processing"}'),
    )
    await expect(download()).rejects.toEqual(expect.objectContaining({ type: 'RecordingNotFound' }))
  })
})
