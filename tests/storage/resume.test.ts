// Which version of a recording continues a part that an earlier attempt left.
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { eventually } from '../support/eventually.ts'
import { beginningOf, restOf, wholeOf, type Headers } from '../support/recording-answers.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const MB = 1024 ** 2
const V1 = randomBytes(3 * MB)
const V2 = randomBytes(V1.length)
const CUT = 2 * MB
const ETAG_1 = { etag: '"v1"' }
const ETAG_2 = { etag: '"v2"' }
const DATED = { 'last-modified': 'Mon, 02 Nov 2026 10:00:00 GMT', date: 'Mon, 02 Nov 2026 10:05:00 GMT' }

let exotel: ScriptedServer
let bench: Workbench
let source: { callSid: CallSid; sourceUrl: string }
beforeAll(async () => {
  exotel = await startScriptedServer()
  bench = await openWorkbench({ maxBytes: 64 * MB })
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
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const incomplete = expect.objectContaining({ type: 'DownloadIncomplete', nonRetryable: true })
const ranges = () => exotel.requests.map(({ headers }) => headers.range)

/** Responds with the beginning of a recording, until that is on the disk. */
const cut = (bytes: Buffer, headers: Headers, length: Headers = { 'content-length': bytes.length }) =>
  beginningOf(bytes, CUT, { ...length, ...headers }, () => bench.spool.bytesOf(file()))

async function leavePart(headers: Headers, length?: Headers): Promise<void> {
  exotel.script(cut(V1, headers, length))
  await expect(download()).rejects.toEqual(incomplete)
}

async function expectStartedAgain(answers: Answer[], expected: Buffer): Promise<void> {
  exotel.script(...answers)
  expect(await download()).toMatchObject({ bytes: expected.length, sha256: sha256(expected) })
  expect(sha256(readFileSync(bench.spool.path(file())))).toBe(sha256(expected))
  expect(ranges()).toStrictEqual([`bytes=${CUT}-`, undefined])
}

describe('When the rest has the same version, then it is written after the part:', () => {
  test.each<[string, Headers, Headers, number | '*']>([
    ['a strong ETag', ETAG_1, { etag: '"v1"' }, V1.length],
    ['a strong ETag, and the 206 does not contain the total', ETAG_1, ETAG_1, '*'],
    ['Last-Modified and the total length', DATED, DATED, V1.length],
  ])('%s', async (_how, first, second, total) => {
    await leavePart(first)
    exotel.script(restOf(V1, second, total))
    expect(await download()).toMatchObject({ bytes: V1.length, sha256: sha256(V1) })
    expect(exotel.requests[0]!.headers).toMatchObject({ range: `bytes=${CUT}-`, 'if-range': Object.values(first)[0] })
    expect(exotel.requests).toHaveLength(1)
  })

  test('a strong ETag, and only the 206 contains the total', async () => {
    await leavePart(ETAG_1, {})
    exotel.script(restOf(V1, ETAG_1))
    expect(await download()).toMatchObject({ bytes: V1.length, sha256: sha256(V1) })
    expect(exotel.requests).toHaveLength(1)
  })

  test('a short rest that is labelled as JSON', async () => {
    const bytes = V1.subarray(0, CUT + 100)
    exotel.script(cut(bytes, ETAG_1))
    await expect(download()).rejects.toEqual(incomplete)
    exotel.script(restOf(bytes, { ...ETAG_1, 'content-type': 'application/json' }))
    expect(await download()).toMatchObject({ sha256: sha256(bytes) })
  })
})

describe('When a 206 may have another version than the part, then the download starts again in the same attempt:', () => {
  test.each<[string, Headers, Answer]>([
    ['another ETag', ETAG_1, restOf(V2, ETAG_2)],
    ['another ETag and no total', ETAG_1, restOf(V2, ETAG_2, '*')],
    ['no ETag', ETAG_1, restOf(V2, {})],
    ['a weak ETag', ETAG_1, restOf(V2, { etag: 'W/"v1"' })],
    ['an ETag without quotes', ETAG_1, restOf(V2, { etag: 'v1' })],
    ['the same ETag and another total', ETAG_1, restOf(Buffer.concat([V2, V2]), ETAG_1)],
    ['the same Last-Modified and another total', DATED, restOf(Buffer.concat([V2, V2]), DATED)],
    ['the same Last-Modified and no total', DATED, restOf(V2, DATED, '*')],
    ['another Last-Modified', DATED, restOf(V2, { ...DATED, 'last-modified': 'Mon, 02 Nov 2026 10:00:07 GMT' })],
    ['only Last-Modified although the part had an ETag', { ...ETAG_1, ...DATED }, restOf(V2, DATED)],
    ['a compressed body', ETAG_1, restOf(V2, { ...ETAG_1, 'content-encoding': 'gzip' })],
    [
      'another range',
      ETAG_1,
      (_request, response) => response.writeHead(206, { ...ETAG_1, 'content-range': `bytes 0-${V2.length - 1}/${V2.length}` }).end(V2),
    ],
    [
      'a range that ends early',
      ETAG_1,
      (_request, response) =>
        response.writeHead(206, { ...ETAG_1, 'content-range': `bytes ${CUT}-${CUT + 9}/${V2.length}` }).end('0123456789'),
    ],
    ['no Content-Range', ETAG_1, (_request, response) => response.writeHead(206, ETAG_1).end(V2.subarray(CUT))],
  ])('%s', async (_how, headers, answer) => {
    await leavePart(headers)
    await expectStartedAgain([answer, wholeOf(V2, ETAG_2)], V2)
  })

  test('the total is unknown to the part and to the 206', async () => {
    await leavePart(ETAG_1, {})
    await expectStartedAgain([restOf(V2, ETAG_1, '*'), wholeOf(V2, ETAG_2)], V2)
  })
})

test('When a server responds to requests with and without Range with another range, then the attempt ends after both', async () => {
  await leavePart(ETAG_1)
  exotel.script((_request, response) =>
    response.writeHead(206, { ...ETAG_1, 'content-range': `bytes 10-20/${V1.length}` }).end(V1.subarray(10, 21)),
  )
  await expect(download()).rejects.toEqual(incomplete)
  expect(ranges()).toStrictEqual([`bytes=${CUT}-`, undefined])
})

test.each<[string, Answer]>([
  ['a 416', (_request, response) => response.writeHead(416, ETAG_1).end()],
  ['a 206 of another version', restOf(V2, ETAG_2)],
])('When a part cannot be continued after %s, and the whole recording is unavailable, then the part is deleted', async (_what, answer) => {
  await leavePart(ETAG_1)
  exotel.script(answer, (_request, response) => response.writeHead(503).end())
  const left = expect.objectContaining({ reachedBytes: 0, resumableBytes: 0 })
  await expect(download()).rejects.toEqual(expect.objectContaining({ type: 'ExotelUnavailable', details: [left] }))
  exotel.script(wholeOf(V2, ETAG_2))
  expect(await download()).toMatchObject({ sha256: sha256(V2) })
  expect(ranges()).toStrictEqual([undefined])
})

describe('When it is unknown whether the source has changed, then no Range is requested:', () => {
  test.each<[string, Headers, Headers | undefined]>([
    ['neither ETag nor Last-Modified', {}, undefined],
    ['a weak ETag', { etag: 'W/"v1"' }, undefined],
    ['a weak ETag with Last-Modified', { ...DATED, etag: 'W/"v1"' }, undefined],
    ['Last-Modified without a length', DATED, {}],
    ['Last-Modified in the same second as the response', { ...DATED, date: DATED['last-modified'] }, undefined],
  ])('%s', async (_how, headers, length) => {
    await leavePart(headers, length)
    exotel.script(wholeOf(V2, headers))
    expect(await download()).toMatchObject({ sha256: sha256(V2) })
    expect(ranges()).toStrictEqual([undefined])
  })

  test('a compressed body', async () => {
    const zipped = gzipSync(V1)
    const headers = { ...ETAG_1, 'content-encoding': 'gzip', 'content-length': zipped.length }
    exotel.script(async (_request, response) => {
      response.writeHead(200, headers).write(zipped.subarray(0, CUT))
      await eventually('some of it to be decoded', async () => (await bench.spool.bytesOf(file())) > MB)
      response.destroy()
    })
    await expect(download()).rejects.toEqual(incomplete)
    exotel.script((_request, response) => response.writeHead(200, headers).end(zipped))
    expect(await download()).toMatchObject({ sha256: sha256(V1) })
    expect(ranges()).toStrictEqual([undefined])
  })
})

describe('When the response is 416', () => {
  const outOfRange =
    (headers: Headers): Answer =>
    (_request, response) =>
      response.writeHead(416, headers).end()

  test.each<[string, Headers]>([
    ['without a length', ETAG_1],
    ['with a length that the part does not have', { ...ETAG_1, 'content-range': `bytes */${MB}` }],
  ])('then the download starts again in the same attempt: %s', async (_how, headers) => {
    await leavePart(ETAG_1)
    await expectStartedAgain([outOfRange(headers), wholeOf(V2, ETAG_2)], V2)
  })

  test('then a part of that length is the whole file if its ETag is the same', async () => {
    await leavePart(ETAG_1, {})
    exotel.script(outOfRange({ ...ETAG_1, 'content-range': `bytes */${CUT}` }))
    expect(await download()).toMatchObject({ bytes: CUT, sha256: sha256(V1.subarray(0, CUT)) })
  })

  test('then a part of that length is not trusted if the ETag is another', async () => {
    await leavePart(ETAG_1, {})
    await expectStartedAgain([outOfRange({ ...ETAG_2, 'content-range': `bytes */${CUT}` }), wholeOf(V2, ETAG_2)], V2)
  })

  test('to a request without Range, then it is an incomplete download', async () => {
    exotel.script(outOfRange({ 'content-range': 'bytes */0' }))
    await expect(download()).rejects.toEqual(incomplete)
  })
})

test('When a 206 to a request without Range covers the whole recording, then it is accepted', async () => {
  exotel.script((_request, response) =>
    response.writeHead(206, { ...ETAG_1, 'content-range': `bytes 0-${V1.length - 1}/${V1.length}` }).end(V1),
  )
  expect(await download()).toMatchObject({ bytes: V1.length, sha256: sha256(V1) })
})

test('When a rest is longer than announced, then it is not continued', async () => {
  await leavePart(ETAG_1)
  exotel.script((_request, response) => {
    response.writeHead(206, { ...ETAG_1, 'content-range': `bytes ${CUT}-${V1.length - 1}/${V1.length}` })
    response.write(V1.subarray(CUT))
    response.end('more')
  })
  await expect(download()).rejects.toEqual(incomplete)
  exotel.script(wholeOf(V1, ETAG_1))
  expect(await download()).toMatchObject({ sha256: sha256(V1) })
  expect(ranges()).toStrictEqual([undefined])
})
