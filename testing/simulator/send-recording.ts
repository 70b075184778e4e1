// A file server according to RFC 9110, with deviations of real servers: validators, ranges, framing.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Fault } from './faults.ts'
import type { Change, Recording } from './versions.ts'

export interface Source {
  /** For this many requests, the connection breaks after the first part of the response. */
  cuts: number
  /** The first request gets an earlier version of the file, later requests the current version. */
  change?: Change
  validators: Validators
  ifRange: 'honored' | 'ignored'
  /** `moved`: 206 with another offset than requested. `short`: 206 with only the beginning of the range. `refused`: 416. */
  ranges: 'served' | 'ignored' | 'moved' | 'short' | 'refused'
  /** The validators of a 206, if they differ from those of a 200. */
  validatorsOfParts?: Validators
  /** `unknown`: a 206 has `*` instead of the total, and no Content-Length. */
  totalOfParts: 'known' | 'unknown'
  /** `then-close`: Content-Length, and the server closes the connection after the body. */
  framing: 'content-length' | 'then-close' | 'chunked' | 'until-close'
}

type Validators = 'etag' | 'etag-and-date' | 'weak-etag-and-date' | 'date' | 'none'

const USUAL: Source = {
  cuts: 0,
  validators: 'etag-and-date',
  ifRange: 'honored',
  ranges: 'served',
  totalOfParts: 'known',
  framing: 'content-length',
}
const CUT_ONCE: Source = { ...USUAL, cuts: 1 }
const OTHER_BYTES: Change = { length: 'same', lastModified: 'other' }
const SAME_DATE: Change = { length: 'same', lastModified: 'same' }
const OTHER_LENGTH_SAME_DATE: Change = { length: 'other', lastModified: 'same' }

const SOURCES: Partial<Record<Fault, Source>> = {
  cut: { ...USUAL, cuts: 2 },
  'changed-etag': { ...CUT_ONCE, change: OTHER_BYTES, validators: 'etag' },
  'changed-last-modified': { ...CUT_ONCE, change: OTHER_BYTES, validators: 'date' },
  'changed-weak-etag': { ...CUT_ONCE, change: SAME_DATE, validators: 'weak-etag-and-date' },
  'changed-length': { ...CUT_ONCE, change: OTHER_LENGTH_SAME_DATE, validators: 'date' },
  'changed-total-unknown': { ...CUT_ONCE, change: OTHER_LENGTH_SAME_DATE, validators: 'date', totalOfParts: 'unknown' },
  'changed-unannounced': { ...CUT_ONCE, change: SAME_DATE, validators: 'none' },
  'if-range-ignored': { ...CUT_ONCE, change: OTHER_BYTES, ifRange: 'ignored' },
  'if-range-ignored-date': { ...CUT_ONCE, change: OTHER_BYTES, ifRange: 'ignored', validatorsOfParts: 'date' },
  'if-range-ignored-bare': { ...CUT_ONCE, change: OTHER_BYTES, ifRange: 'ignored', validatorsOfParts: 'none' },
  'range-ignored': { ...CUT_ONCE, ranges: 'ignored' },
  'range-moved': { ...CUT_ONCE, ranges: 'moved' },
  'range-short': { ...CUT_ONCE, ranges: 'short' },
  'range-refused': { ...CUT_ONCE, ranges: 'refused' },
  'range-total-unknown': { ...CUT_ONCE, totalOfParts: 'unknown' },
  'connection-close': { ...USUAL, framing: 'then-close' },
  chunked: { ...USUAL, framing: 'chunked' },
  'chunked-cut': { ...USUAL, cuts: 2, framing: 'chunked' },
  'until-close': { ...USUAL, framing: 'until-close' },
}

/** The behavior of the server for a fault. */
export function sourceOf(fault: Fault): Source {
  return SOURCES[fault] ?? USUAL
}

const LENGTH_ANNOUNCED: readonly Source['framing'][] = ['content-length', 'then-close']
const SENT_BEFORE_CUT = 0.4
/** Without this delay, the client may see the end of the connection before it has read the bytes. */
const CUT_AFTER_MS = 100

/** Sends the version or the requested range of it, with the deviations of the source. @param nth number of the request for this file, from 1 */
export function sendRecording(version: Recording, source: Source, nth: number, request: IncomingMessage, response: ServerResponse): void {
  const total = version.bytes.length
  const requested = requestedRange(version, source, request)
  if (requested === 'unsatisfiable' || (requested && source.ranges === 'refused'))
    return void response.writeHead(416, { 'content-range': `bytes */${total}` }).end()
  const { from, to } = requested ? servedRange(requested, source) : { from: 0, to: total - 1 }
  const body = version.bytes.subarray(from, to + 1)
  const lengthKnown = LENGTH_ANNOUNCED.includes(source.framing) && !(requested && source.totalOfParts === 'unknown')
  if (source.framing === 'until-close') response.useChunkedEncodingByDefault = false
  response.writeHead(requested ? 206 : 200, {
    'content-type': version.contentType,
    ...(source.ranges !== 'ignored' && { 'accept-ranges': 'bytes' }),
    ...validators(version, (requested && source.validatorsOfParts) || source.validators),
    ...(lengthKnown && { 'content-length': body.length }),
    ...(requested && { 'content-range': `bytes ${from}-${to}/${source.totalOfParts === 'unknown' ? '*' : total}` }),
    ...(source.framing.endsWith('-close') && { connection: 'close' }),
  })
  if (nth > source.cuts) return void response.end(body)
  response.write(body.subarray(0, Math.floor(body.length * SENT_BEFORE_CUT)), () => setTimeout(() => response.destroy(), CUT_AFTER_MS))
}

interface Range {
  from: number
  /** The last byte. */
  to: number
}

/** The requested range; undefined if the whole file has to be sent. */
function requestedRange(
  version: Recording,
  { ranges, ifRange, validators }: Source,
  request: IncomingMessage,
): Range | 'unsatisfiable' | undefined {
  const requested = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
  if (!requested || ranges === 'ignored') return undefined
  const condition = request.headers['if-range']
  if (condition !== undefined && ifRange === 'honored' && !matches(String(condition), version, validators)) return undefined
  const last = version.bytes.length - 1
  const [from, to] = [Number(requested[1]), requested[2] === '' ? last : Math.min(Number(requested[2]), last)]
  return from > last ? 'unsatisfiable' : { from, to }
}

function servedRange({ from, to }: Range, { ranges }: Source): Range {
  if (ranges === 'moved') return { from: Math.floor(from / 2), to }
  if (ranges === 'short') return { from, to: from + Math.floor((to - from) / 2) }
  return { from, to }
}

/** If-Range uses the strong comparison: a weak ETag never matches, and a date has to be identical (RFC 9110, 13.1.5). */
function matches(condition: string, version: Recording, kind: Validators): boolean {
  const { etag, 'last-modified': date } = validators(version, kind)
  return (condition === etag && !condition.startsWith('W/')) || condition === date
}

function validators({ etag, modifiedAt }: Recording, kind: Validators): { etag?: string; 'last-modified'?: string } {
  const date = { 'last-modified': modifiedAt.toUTCString() }
  switch (kind) {
    case 'etag':
      return { etag }
    case 'etag-and-date':
      return { etag, ...date }
    case 'weak-etag-and-date':
      return { etag: `W/${etag}`, ...date }
    case 'date':
      return date
    case 'none':
      return {}
  }
}
