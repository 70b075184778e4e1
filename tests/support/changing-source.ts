// A source of one recording with several versions. It follows or breaks the rules of HTTP for ranges.
import { createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import type { Answer } from './scripted-server.ts'

const KB = 1024

function version(bytes: number, etag: string, modifiedSecond: number) {
  const body = randomBytes(bytes)
  return {
    body,
    sha256: createHash('sha256').update(body).digest('hex'),
    etag: `"${etag}"`,
    lastModified: new Date(Date.UTC(2026, 10, 2, 10, 0, modifiedSecond)).toUTCString(),
  }
}

/** The second version has the length of the first. The third has its Last-Modified and differs in length. */
export const VERSIONS = [version(300 * KB, 'first', 0), version(300 * KB, 'second', 1), version(300 * KB + 7, 'third', 0)] as const

/** How the source answers the requests of one attempt. */
export interface Behavior {
  version: 0 | 1 | 2
  validators: 'strong ETag' | 'weak ETag' | 'Last-Modified' | 'both' | 'none'
  ifRange: 'honored' | 'ignored'
  range: 'honored' | 'ignored' | 'another range' | 'ends early' | '416' | '416 with its length'
  /** The total length in Content-Range. */
  total: 'sent' | '*'
  /** A 206 with a part even where no range was requested. */
  partialOnly: boolean
  contentLength: boolean
  gzip: boolean
  /** Share of the body after which the connection breaks. */
  cutAt: number | undefined
}

export const behaviors: fc.Arbitrary<Behavior> = fc.record({
  version: fc.constantFrom(0, 1, 2),
  validators: fc.constantFrom('strong ETag', 'strong ETag', 'weak ETag', 'Last-Modified', 'both', 'none'),
  ifRange: fc.constantFrom('honored', 'ignored'),
  range: fc.constantFrom('honored', 'honored', 'ignored', 'another range', 'ends early', '416', '416 with its length'),
  total: fc.constantFrom('sent', 'sent', '*'),
  partialOnly: fc.constantFrom(false, false, false, true),
  contentLength: fc.boolean(),
  gzip: fc.constantFrom(false, false, false, true),
  cutAt: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 3, nil: undefined }),
})

/** @param bytesOnDisk the bytes on the client's disk; before a cut, the source waits until all sent bytes are there */
export function answering(behavior: Behavior, bytesOnDisk: () => Promise<number>): Answer {
  return async (request, response) => {
    const { status, from, to, headers } = decide(behavior, request)
    const identity = VERSIONS[behavior.version].body.subarray(from, to)
    const body = behavior.gzip ? gzipSync(identity, { level: 1 }) : identity
    response.writeHead(status, {
      ...headers,
      ...validators(behavior),
      ...(behavior.gzip && { 'content-encoding': 'gzip' }),
      ...(behavior.contentLength && { 'content-length': body.length }),
    })
    if (behavior.cutAt === undefined || status === 416) return void response.end(body)
    const cut = Math.floor(behavior.cutAt * body.length)
    response.write(body.subarray(0, cut))
    await untilArrived(response, async () => (await bytesOnDisk()) >= from + cut)
    response.destroy()
  }
}

function decide(behavior: Behavior, { headers }: IncomingMessage) {
  const { body } = VERSIONS[behavior.version]
  const condition = headers['if-range'] as string | undefined
  const requested = /^bytes=(\d+)-$/.exec(headers.range ?? '')
  const whole = { status: 200, from: 0, to: body.length, headers: {} }
  const part = (from: number, to: number) => ({
    status: 206,
    from,
    to,
    headers: { 'content-range': `bytes ${from}-${to - 1}/${behavior.total === '*' ? '*' : body.length}` },
  })
  const outOfRange = (contentRange: object) => ({ status: 416, from: 0, to: 0, headers: contentRange })
  if (!requested) return behavior.partialOnly ? part(10, 2000) : whole
  const from = Number(requested[1])
  if (behavior.range === 'ignored' || (behavior.ifRange === 'honored' && !isCurrent(behavior, condition))) return whole
  if (behavior.range === '416') return outOfRange({})
  if (behavior.range === '416 with its length' || from >= body.length) return outOfRange({ 'content-range': `bytes */${body.length}` })
  if (behavior.range === 'another range') return part(Math.floor(from / 2), body.length)
  if (behavior.range === 'ends early') return part(from, Math.ceil((from + body.length) / 2))
  return part(from, body.length)
}

function isCurrent(behavior: Behavior, condition: string | undefined): boolean {
  const { etag, lastModified } = validators(behavior) as { etag?: string; 'last-modified'?: string; lastModified?: string }
  return condition === undefined || (condition === etag && !etag.startsWith('W/')) || condition === lastModified
}

function validators({ validators: kind, version }: Behavior): Record<string, string> {
  const { etag, lastModified } = VERSIONS[version]
  switch (kind) {
    case 'strong ETag':
      return { etag }
    case 'weak ETag':
      return { etag: 'W/"same"' }
    case 'Last-Modified':
      return { 'last-modified': lastModified }
    case 'both':
      return { etag, 'last-modified': lastModified }
    case 'none':
      return {}
  }
}

/** For compressed bodies the wait is short, because fewer bytes than that may arrive on the client's disk. */
async function untilArrived(response: ServerResponse, arrived: () => Promise<boolean>): Promise<void> {
  const limit = AbortSignal.timeout(response.hasHeader('content-encoding') ? 20 : 5000)
  while (!response.destroyed && !limit.aborted && !(await arrived())) await pause(1)
}
