// The simulator's file server with a simple client. No code of the product is involved in the transfers.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import type { Fault } from '../../testing/simulator/faults.ts'
import { sendRecording, sourceOf } from '../../testing/simulator/send-recording.ts'
import { earlierVersion, readRecording, type Recording } from '../../testing/simulator/versions.ts'
import { GOOD_SAMPLES, sample } from '../support/samples.ts'
import { inspectAudio } from '../../recordings/audio/inspect.ts'

const present = readRecording(sample('voicemail-pcm.wav'), new Date())
let server: Server
afterEach(() => new Promise((resolve) => void server?.close(resolve)))

interface Answer {
  status: number
  headers: Headers
  bytes: Buffer
}

/** Makes the `nth` request for the file. */
async function request(fault: Fault, nth: number, headers: Record<string, string> = {}): Promise<Answer> {
  server = createServer((incoming, response) => {
    const source = sourceOf(fault)
    const version = nth === 1 && source.change ? earlierVersion(present, source.change) : present
    sendRecording(version, source, nth, incoming, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    headers: { connection: 'close', ...headers },
  })
  const chunks: Uint8Array[] = []
  const cut = await readAll(response, chunks).then(
    () => false,
    () => true,
  )
  await new Promise((resolve) => void server.close(resolve))
  expect(cut).toBe(nth <= sourceOf(fault).cuts && response.status < 400)
  return { status: response.status, headers: response.headers, bytes: Buffer.concat(chunks) }
}

async function readAll(response: Response, chunks: Uint8Array[]): Promise<void> {
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) chunks.push(chunk)
}

/** Makes a request that is cut, and a second one for the rest with the validator of the first response, strong or weak. */
async function resume(fault: Fault): Promise<{ first: Answer; rest: Answer }> {
  const first = await request(fault, 1)
  const validator = first.headers.get('etag') ?? first.headers.get('last-modified')
  const rest = await request(fault, 2, { range: `bytes=${first.bytes.length}-`, ...(validator && { 'if-range': validator }) })
  return { first, rest }
}

describe('When a transfer was cut and the file has not changed,', () => {
  test('then a correct server sends the rest of it', async () => {
    const first = await request('none', 1)
    const etag = first.headers.get('etag')!
    const rest = await request('none', 2, { range: 'bytes=1000-', 'if-range': etag })
    expect([rest.status, rest.headers.get('etag')]).toEqual([206, etag])
    expect(rest.headers.get('content-range')).toBe(`bytes 1000-${present.bytes.length - 1}/${present.bytes.length}`)
    expect(rest.bytes.equals(present.bytes.subarray(1000))).toBe(true)
    expect((await request('none', 2, { range: 'bytes=1000-', 'if-range': `W/${etag}` })).status).toBe(200)
    expect((await request('none', 2, { range: `bytes=${present.bytes.length}-` })).status).toBe(416)
  })

  test.each([
    ['range-ignored', 200, undefined],
    ['range-moved', 206, /^bytes 46861-234307\/234308$/],
    ['range-short', 206, /^bytes 93723-164015\/234308$/],
    ['range-refused', 416, /^bytes \*\/234308$/],
    ['range-total-unknown', 206, /^bytes 93723-234307\/\*$/],
  ] as const)('then the server with the fault %s responds %i', async (fault, status, contentRange) => {
    const { first, rest } = await resume(fault)
    expect(first.bytes.length).toBe(93_723)
    expect(rest.status).toBe(status)
    if (contentRange) expect(rest.headers.get('content-range')).toMatch(contentRange)
    else expect(rest.headers.get('content-range')).toBeNull()
    if (status !== 416) expect(rest.headers.has('content-length')).toBe(fault !== 'range-total-unknown')
    expect((await request(fault, 3)).bytes.equals(present.bytes)).toBe(true)
  })
})

describe('When the file was replaced after a cut transfer,', () => {
  test.each([
    ['changed-etag', 200],
    ['changed-last-modified', 200],
    ['changed-weak-etag', 200],
    ['changed-length', 206],
    ['changed-total-unknown', 206],
    ['changed-unannounced', 206],
    ['if-range-ignored', 206],
    ['if-range-ignored-date', 206],
    ['if-range-ignored-bare', 206],
  ] as const)(
    'then a client that trusts every 206 mixes two versions, or has to start again (fault %s, status %i)',
    async (fault, status) => {
      const { first, rest } = await resume(fault)
      expect(rest.status).toBe(status)
      const joined = status === 206 ? Buffer.concat([first.bytes, rest.bytes]) : rest.bytes
      expect(joined.equals(present.bytes)).toBe(status === 200)
      expect(joined.equals(earlierVersion(present, sourceOf(fault).change!).bytes)).toBe(false)
    },
  )

  test('then Last-Modified of a file with a weak ETag does not show the change', async () => {
    const first = await request('changed-weak-etag', 1)
    const date = first.headers.get('last-modified')!
    const rest = await request('changed-weak-etag', 2, { range: `bytes=${first.bytes.length}-`, 'if-range': date })
    expect([rest.status, rest.headers.get('last-modified')]).toEqual([206, date])
    expect(rest.headers.get('etag')).not.toBe(first.headers.get('etag'))
    expect(first.bytes.length + rest.bytes.length).toBe(present.bytes.length)
  })

  test.each(['if-range-ignored', 'if-range-ignored-date', 'if-range-ignored-bare'] as const)(
    'then the 206 of %s has its own validators',
    async (fault) => {
      const { first, rest } = await resume(fault)
      const names = ['etag', 'last-modified'].filter((name) => rest.headers.has(name))
      expect(names).toEqual(
        { 'if-range-ignored': ['etag', 'last-modified'], 'if-range-ignored-date': ['last-modified'], 'if-range-ignored-bare': [] }[fault],
      )
      for (const name of names) expect(rest.headers.get(name)).not.toBe(first.headers.get(name))
    },
  )
})

test('When the source closes each connection, then its responses have a Content-Length nevertheless', async () => {
  const { headers, bytes } = await request('connection-close', 1)
  expect([headers.get('connection'), headers.get('content-length')]).toEqual(['close', String(present.bytes.length)])
  expect(bytes.equals(present.bytes)).toBe(true)
})

test.each(['chunked', 'chunked-cut', 'until-close'] as const)(
  'When the fault is %s, then responses have no Content-Length',
  async (fault) => {
    const { headers, bytes } = await request(fault, 3)
    expect(headers.get('content-length')).toBeNull()
    expect(headers.get('transfer-encoding')).toBe(fault === 'until-close' ? null : 'chunked')
    expect(bytes.equals(present.bytes)).toBe(true)
  },
)

test.each(GOOD_SAMPLES)(
  'When the beginning of the earlier version of %s is joined to the end of the current one, then the result is valid audio',
  async (name) => {
    const recording = readRecording(sample(name), new Date())
    const earlier = earlierVersion(recording, { length: 'same', lastModified: 'same' })
    expect(differing(earlier, recording)).toBeGreaterThan(recording.bytes.length / 2)
    const half = Math.floor(recording.bytes.length * 0.4)
    const mix = Buffer.concat([earlier.bytes.subarray(0, half), recording.bytes.subarray(half)])
    for (const bytes of [earlier.bytes, mix]) expect(await findingOf(bytes)).toEqual(await findingOf(recording.bytes))
  },
)

function differing(one: Recording, other: Recording): number {
  return one.bytes.reduce((count, byte, at) => (byte === other.bytes[at] ? count : count + 1), 0)
}

async function findingOf(bytes: Buffer): Promise<unknown> {
  const folder = mkdtempSync(join(tmpdir(), 'versions-'))
  writeFileSync(join(folder, 'file'), bytes)
  return inspectAudio(join(folder, 'file')).finally(() => rmSync(folder, { recursive: true }))
}
