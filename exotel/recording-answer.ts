// Classifies the response to the request for a recording before its body is downloaded.
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import { peekStart } from '../platform/peek-start.ts'
import type { FailureCode } from '../contracts/failures.ts'
import { discardBody, type HttpResponse } from './http-request.ts'
import { encodingOf, isNothingLeft, singleHeader, totalOfRest, totalOfWhole, validatorOf, type KnownPart } from './recording-version.ts'
import { retryAfterMs } from './retry-after.ts'

export type RecordingAnswer =
  | RecordingBody
  | FailedAnswer
  | { kind: 'rate limited'; retryAfterMs: number | undefined }
  // The next two occur only if the request continues a part.
  /** The part on disk is the whole recording. */
  | { kind: 'part is whole' }
  /** The response cannot be joined with the part on disk: request the whole recording. */
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
  /** Length of the whole recording as it is sent; absent if the source does not send it. */
  totalBytes?: number
  /** The Content-Encoding of the body, although none was requested. It may be wrong. */
  encoding?: string
  /** See {@link validatorOf}; absent if the download cannot be resumed. */
  validator?: string
}

/** A longer JSON document is not a state of a recording. */
const MAX_STATE_BYTES = 4096

/**
 * Reads status and headers. Reads or discards a body that is not a recording.
 * @param part the part that the request continues
 */
export async function readAnswer({ statusCode, headers, body }: HttpResponse, part: KnownPart | undefined): Promise<RecordingAnswer> {
  if (statusCode === 200 || statusCode === 203) {
    const found = await findDocument(headers, body)
    return found.document === undefined ? wholeBody(statusCode, headers, found.body) : readState(found.document)
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
      return failed('RecordingNotFound', `Exotel does not have the recording yet: it responded ${statusCode}`)
    case 401:
    case 403:
      return failed('ExotelUnauthorized', `Exotel denies access to this recording: it responded ${statusCode}`)
    case 410:
      return failed('RecordingExpired', 'Exotel no longer has the recording: it responded 410')
    case 416:
      if (part) return { kind: isNothingLeft(headers, part) ? 'part is whole' : 'part unusable' }
      return failed('DownloadIncomplete', 'Exotel responded 416 to a request for the whole recording')
    case 429:
      return { kind: 'rate limited', retryAfterMs: wait }
    default:
      return failed('ExotelUnavailable', `Exotel responded ${statusCode}`)
  }
}

/**
 * The JSON document that a short body consists of, and a body that still has all bytes. It has to be valid JSON as a whole: audio without a header
 * may start with any byte, and may follow a JSON document. Without a JSON content type only an object counts; with one, also an array or
 * a string.
 */
async function findDocument(headers: IncomingHttpHeaders, body: Readable): Promise<{ document?: string; body: Readable }> {
  const length = readLength(singleHeader(headers['content-length'])) ?? 0
  if (length > MAX_STATE_BYTES || encodingOf(headers) !== undefined) return { body }
  const isLabelled = /^application\/(.+\+)?json/i.test(singleHeader(headers['content-type']) ?? '')
  const mayBeDocument = (text: string): boolean => (isLabelled ? /^[{["]/.test(text) : text.startsWith('{'))
  const isEnough = (start: Buffer): boolean => {
    const text = textIn(start)
    return start.length > MAX_STATE_BYTES || (text !== '' && !mayBeDocument(text))
  }
  const peeked = await peekStart(body, isEnough)
  const text = textIn(peeked.start)
  const isDocument = peeked.isWhole && mayBeDocument(text) && isJson(text)
  return { ...(isDocument && { document: text }), body: peeked.body }
}

function textIn(bytes: Buffer): string {
  return new TextDecoder().decode(bytes).trimStart() // TextDecoder removes a byte order mark
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Exotel may send a state instead of a recording: `processing`, `not_available`, `expired` [v3 voice logs]. */
function readState(document: string): RecordingAnswer {
  const states = [...document.matchAll(/"\w*(?:state|status)"\s*:\s*"([\w -]+)"/gi)].map(([, state]) => state!)
  if (states.some((state) => /processing|not[_ -](available|ready)|pending|progress|queued/i.test(state))) {
    return { kind: 'failed', code: 'RecordingNotFound', reason: 'Exotel says that the recording is not ready' }
  }
  if (states.some((state) => /expired/i.test(state)))
    return { kind: 'failed', code: 'RecordingExpired', reason: 'Exotel says that the recording has expired' }
  return { kind: 'failed', code: 'RecordingInvalid', reason: 'The file is a JSON document, not audio' }
}

function wholeBody(statusCode: number, headers: IncomingHttpHeaders, body: Readable): RecordingBody {
  const totalBytes = readLength(singleHeader(headers['content-length']))
  const validator = statusCode === 203 ? undefined : validatorOf(headers, totalBytes) // a proxy has changed the body of a 203
  return recordingBody(headers, body, { from: 0, totalBytes, validator })
}

/** A 206 is usable only if it starts right after the part, or at the first byte without a part, and ends with the last byte. */
function partialBody(headers: IncomingHttpHeaders, body: Readable, part: KnownPart | undefined): RecordingAnswer {
  const totalBytes = part ? totalOfRest(headers, part) : totalOfWhole(headers)
  if (totalBytes !== undefined) {
    const validator = part ? part.validator : validatorOf(headers, totalBytes)
    return recordingBody(headers, body, { from: part?.from ?? 0, totalBytes, validator })
  }
  body.destroy()
  if (part) return { kind: 'part unusable' }
  return {
    kind: 'failed',
    code: 'DownloadIncomplete',
    reason: 'Exotel sent a part of the recording although the whole recording was requested',
  }
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
