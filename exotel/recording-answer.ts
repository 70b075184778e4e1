// What an answer to a recording's link means, before its body is taken.
import type { Dispatcher } from 'undici'
import type { FailureCode } from '../workflows/contracts/failures.ts'
import { retryAfterMs } from './retry-after.ts'

export type RecordingAnswer =
  | RecordingBody
  | FailedAnswer
  | { kind: 'rate limited'; retryAfterMs: number | undefined }
  /** There is nothing at or behind the byte that was asked for. */
  | { kind: 'out of range' }

export interface FailedAnswer {
  kind: 'failed'
  code: FailureCode
  reason: string
  retryAfterMs?: number
}

export interface RecordingBody {
  kind: 'body'
  body: Dispatcher.ResponseData['body']
  /** The offset of the body's first byte in the recording. */
  from: number
  /** Of the whole recording; absent where the source does not say. */
  totalBytes?: number
  /** gzip, deflate or br, though none was asked for. */
  encoding?: string
  /** What tells whether the source has changed; only where it can be resumed. */
  validator?: string
  contentType?: string
}

const MAX_STATE_BYTES = 4096
const ENCODINGS = new Set(['gzip', 'deflate', 'br'])

/** Reads status and headers; bodies that are no recording are read or thrown away here. */
export async function readAnswer({ statusCode, headers, body }: Dispatcher.ResponseData, wantedFrom: number): Promise<RecordingAnswer> {
  const contentType = single(headers['content-type'])
  if (statusCode === 200 || statusCode === 206 || statusCode === 203) {
    if (isState(contentType, headers)) return readState(body)
    return readBody(statusCode, headers, body, wantedFrom)
  }
  await body.dump({ limit: MAX_STATE_BYTES }).catch(() => {})
  const wait = retryAfterMs(headers['retry-after'], new Date())
  const failed = (code: FailureCode, reason: string): RecordingAnswer => ({
    kind: 'failed',
    code,
    reason,
    ...(wait !== undefined && { retryAfterMs: wait }),
  })
  switch (statusCode) {
    case 202:
    case 204:
    case 404:
    case 425:
      return failed('RecordingNotFound', `Exotel does not have the recording yet: it answered ${statusCode}`)
    case 401:
    case 403:
      return failed('ExotelUnauthorized', `Exotel refuses this recording to us: it answered ${statusCode}`)
    case 410:
      return failed('RecordingExpired', 'Exotel no longer has the recording: it answered 410')
    case 416:
      return { kind: 'out of range' }
    case 429:
      return { kind: 'rate limited', retryAfterMs: wait }
    default:
      return failed('ExotelUnavailable', `Exotel answered ${statusCode}`)
  }
}

/** A JSON type on something large is a wrong label: the content decides. */
function isState(contentType: string | undefined, headers: Dispatcher.ResponseData['headers']): boolean {
  const length = readLength(single(headers['content-length'])) ?? 0
  return /^application\/(.+\+)?json/i.test(contentType ?? '') && length <= MAX_STATE_BYTES
}

/** Hangs up on what is not wanted; an unread body says so by an error event, which nobody else listens to. */
export function dropBody(body: Dispatcher.ResponseData['body']): void {
  body.on('error', () => {}).destroy()
}

/** Exotel's voice-log states instead of a recording: `processing`, `not_available`, `expired` [v3 voice logs]. */
async function readState(body: Dispatcher.ResponseData['body']): Promise<RecordingAnswer> {
  const text = await readStart(body)
  const state = /"\w*(?:state|status)"\s*:\s*"([\w -]+)"/i.exec(text)?.[1] ?? ''
  if (/expired/i.test(state)) return { kind: 'failed', code: 'RecordingExpired', reason: 'Exotel says that the recording has expired' }
  if (/processing|not[_ -](available|ready)|pending|progress|queued/i.test(state)) {
    return { kind: 'failed', code: 'RecordingNotFound', reason: 'Exotel says that the recording is not ready' }
  }
  return { kind: 'failed', code: 'RecordingInvalid', reason: 'The file is a JSON document, not audio' }
}

/** Never more than a little of it, whatever comes. */
async function readStart(body: Dispatcher.ResponseData['body']): Promise<string> {
  let text = ''
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      text += chunk.toString('latin1')
      if (text.length > MAX_STATE_BYTES) break
    }
  } catch {
    // what has come is all there is
  }
  dropBody(body)
  return text.slice(0, MAX_STATE_BYTES)
}

function readBody(
  statusCode: number,
  headers: Dispatcher.ResponseData['headers'],
  body: Dispatcher.ResponseData['body'],
  wantedFrom: number,
): RecordingAnswer {
  const contentType = single(headers['content-type'])
  const encoding = single(headers['content-encoding'])?.toLowerCase()
  const length = readLength(single(headers['content-length']))
  const common = {
    kind: 'body' as const,
    body,
    ...(contentType && { contentType }),
    ...(encoding && ENCODINGS.has(encoding) && { encoding }),
    ...validatorIn(headers, encoding),
  }
  if (statusCode !== 206) return { ...common, from: 0, ...(length !== undefined && !encoding && { totalBytes: length }) }
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(single(headers['content-range']) ?? '')
  const [from, to, totalBytes] = range?.slice(1).map(Number) ?? []
  if (from !== wantedFrom || totalBytes === undefined || to !== totalBytes - 1) {
    dropBody(body)
    return { kind: 'failed', code: 'DownloadIncomplete', reason: 'Exotel sent another part of the recording than was asked for' }
  }
  return { ...common, from, totalBytes }
}

function validatorIn(headers: Dispatcher.ResponseData['headers'], encoding: string | undefined): { validator?: string } {
  const etag = single(headers.etag)
  const validator = etag && !etag.startsWith('W/') ? etag : single(headers['last-modified'])
  return validator && !encoding ? { validator } : {}
}

function readLength(text: string | undefined): number | undefined {
  return text && /^\d+$/.test(text) ? Number(text) : undefined
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header
}
