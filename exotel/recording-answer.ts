// What an answer to a recording's link means, before its body is taken.
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import { peekStart } from '../platform/peek-start.ts'
import { readStart } from '../platform/read-start.ts'
import type { FailureCode } from '../contracts/failures.ts'
import { discardBody, type HttpResponse } from './http-request.ts'
import { encodingOf, isNothingLeft, singleHeader, totalOfRest, totalOfWhole, validatorOf, type KnownPart } from './recording-version.ts'
import { retryAfterMs } from './retry-after.ts'

export type RecordingAnswer =
  | RecordingBody
  | FailedAnswer
  | { kind: 'rate limited'; retryAfterMs: number | undefined }
  // These two answer only requests that continue a part.
  /** The part on disk is the whole recording. */
  | { kind: 'part is whole' }
  /** What the source has now cannot be joined with the part on disk: request the whole recording. */
  | { kind: 'part unusable' }

export interface FailedAnswer {
  kind: 'failed'
  code: FailureCode
  reason: string
  retryAfterMs?: number
}

export interface RecordingBody {
  kind: 'body'
  body: Readable
  /** The offset of the body's first byte in the recording. */
  from: number
  /** Of the whole recording as it is sent; absent where the source does not say. */
  totalBytes?: number
  /** The Content-Encoding of the body, though none was asked for; it may be wrong. */
  encoding?: string
  /** See {@link validatorOf}; absent where the download cannot be resumed. */
  validator?: string
}

/** A longer JSON document is no statement about a recording. */
const MAX_STATE_BYTES = 4096
const MAX_READ_BYTES = 64 * 1024

/**
 * Reads status and headers; bodies that are no recording are read or dropped here.
 * @param part what the request asked to continue
 */
export async function readAnswer({ statusCode, headers, body }: HttpResponse, part: KnownPart | undefined): Promise<RecordingAnswer> {
  if (statusCode === 200 || statusCode === 203) {
    const found = await lookForState(headers, body)
    return found.isState ? readState(found.body) : wholeBody(statusCode, headers, found.body)
  }
  if (statusCode === 206) return partialBody(headers, body, part)
  await discardBody(body)
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
      if (part) return { kind: isNothingLeft(headers, part) ? 'part is whole' : 'part unusable' }
      return failed('DownloadIncomplete', 'Exotel answered 416 to a request for the whole recording')
    case 429:
      return { kind: 'rate limited', retryAfterMs: wait }
    default:
      return failed('ExotelUnavailable', `Exotel answered ${statusCode}`)
  }
}

/**
 * Whether a short body is a JSON document, and a body that still has all bytes. One that is labelled as JSON has to begin like JSON;
 * any other one has to be JSON as a whole, since audio without a header may begin with any byte.
 */
async function lookForState(headers: IncomingHttpHeaders, body: Readable): Promise<{ isState: boolean; body: Readable }> {
  const length = readLength(singleHeader(headers['content-length'])) ?? 0
  if (length > MAX_STATE_BYTES || encodingOf(headers) !== undefined) return { isState: false, body }
  const isLabelled = /^application\/(.+\+)?json/i.test(singleHeader(headers['content-type']) ?? '')
  const isEnough = (start: Buffer): boolean => {
    const text = textIn(start)
    return start.length > MAX_STATE_BYTES || (text !== '' && (isLabelled || !text.startsWith('{')))
  }
  const peeked = await peekStart(body, isEnough)
  const text = textIn(peeked.start)
  const isState = isLabelled ? /^[{["]/.test(text) : peeked.isWhole && text.startsWith('{') && isJson(text)
  return { isState, body: peeked.body }
}

function textIn(bytes: Buffer): string {
  return new TextDecoder().decode(bytes).trimStart() // without a byte order mark
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Exotel's voice-log states instead of a recording: `processing`, `not_available`, `expired` [v3 voice logs]. */
async function readState(body: Readable): Promise<RecordingAnswer> {
  const start = await readStart(body, MAX_READ_BYTES)
  const states = [...start.bytes.toString('latin1').matchAll(/"\w*(?:state|status)"\s*:\s*"([\w -]+)"/gi)].map(([, state]) => state!)
  if (states.some((state) => /processing|not[_ -](available|ready)|pending|progress|queued/i.test(state))) {
    return { kind: 'failed', code: 'RecordingNotFound', reason: 'Exotel says that the recording is not ready' }
  }
  if (states.some((state) => /expired/i.test(state)))
    return { kind: 'failed', code: 'RecordingExpired', reason: 'Exotel says that the recording has expired' }
  if (start.kind === 'broken')
    return { kind: 'failed', code: 'ExotelUnavailable', reason: `Exotel did not send its whole answer: ${start.error.message}` }
  return { kind: 'failed', code: 'RecordingInvalid', reason: 'The file is a JSON document, not audio' }
}

function wholeBody(statusCode: number, headers: IncomingHttpHeaders, body: Readable): RecordingBody {
  const totalBytes = readLength(singleHeader(headers['content-length']))
  const validator = statusCode === 203 ? undefined : validatorOf(headers, totalBytes) // a proxy has changed the body of a 203
  return recordingBody(headers, body, { from: 0, totalBytes, validator })
}

/** A 206 is of use only where it ends with the recording's last byte and begins behind the part, or with the first byte. */
function partialBody(headers: IncomingHttpHeaders, body: Readable, part: KnownPart | undefined): RecordingAnswer {
  const totalBytes = part ? totalOfRest(headers, part) : totalOfWhole(headers)
  if (totalBytes !== undefined) {
    const validator = part ? part.validator : validatorOf(headers, totalBytes)
    return recordingBody(headers, body, { from: part?.from ?? 0, totalBytes, validator })
  }
  body.destroy()
  if (part) return { kind: 'part unusable' }
  return { kind: 'failed', code: 'DownloadIncomplete', reason: 'Exotel sent a part of the recording though the whole was requested' }
}

function recordingBody(
  headers: IncomingHttpHeaders,
  body: Readable,
  { from, totalBytes, validator }: { from: number; totalBytes: number | undefined; validator: string | undefined },
): RecordingBody {
  const encoding = encodingOf(headers)
  return {
    kind: 'body',
    body,
    from,
    ...(totalBytes !== undefined && { totalBytes }),
    ...(encoding && { encoding }),
    ...(validator && { validator }),
  }
}

function readLength(text: string | undefined): number | undefined {
  return text && /^\d+$/.test(text) ? Number(text) : undefined
}
