// Determines which version of a recording a response contains, and which bytes of it, to decide whether a part on disk can be continued.
import type { IncomingHttpHeaders } from 'node:http'

/** The start of one version of a recording that is already on disk. */
export interface KnownPart {
  /** Length of the part, which is the offset of the first missing byte. */
  from: number
  /** A strong ETag, or Last-Modified; see {@link validatorOf}. */
  validator: string
  /** Length of the whole recording; absent if the source did not send it. */
  totalBytes?: number
}

interface ContentRange {
  /** Absent for a 416. */
  sent?: { from: number; to: number }
  /** Absent if the source sends `*`. */
  totalBytes?: number
}

const ENTITY_TAG = /^"[^"]*"$/
/** RFC 9110, 8.8.2.2: a file may change again within the second of its Last-Modified. */
const LAST_MODIFIED_SETTLED_MS = 1000

/**
 * A value that changes whenever the bytes change: a strong ETag. Without any ETag it is Last-Modified, but only together with a total
 * length. Undefined for a weak ETag, which may stay the same when the bytes change, as may the date [RFC 9110, 13.1.5]. Undefined for a
 * compressed body, because its offsets are not those of the recording.
 */
export function validatorOf(headers: IncomingHttpHeaders, totalBytes: number | undefined): string | undefined {
  if (encodingOf(headers)) return undefined
  const etag = singleHeader(headers.etag)
  if (etag) return ENTITY_TAG.test(etag) ? etag : undefined
  const lastModified = singleHeader(headers['last-modified'])
  if (!lastModified || totalBytes === undefined) return undefined
  const ageMs = Date.parse(singleHeader(headers.date) ?? '') - Date.parse(lastModified)
  return ageMs >= LAST_MODIFIED_SETTLED_MS ? lastModified : undefined
}

/** The total length if a 206 to a request without Range has all bytes of the recording. */
export function totalOfWhole(headers: IncomingHttpHeaders): number | undefined {
  const { sent, totalBytes } = contentRange(headers)
  return sent?.from === 0 && sent.to + 1 === totalBytes ? totalBytes : undefined
}

/** The total length if a 206 has all bytes after the part, of the same version. A server may have ignored If-Range. */
export function totalOfRest(headers: IncomingHttpHeaders, part: KnownPart): number | undefined {
  const { sent, totalBytes = part.totalBytes } = contentRange(headers)
  const fits = isSameVersion(headers, part) && sent?.from === part.from && sent.to + 1 === totalBytes
  return fits ? totalBytes : undefined
}

/** Whether a 416 says that the part is the whole recording, of the same version. */
export function isNothingLeft(headers: IncomingHttpHeaders, part: KnownPart): boolean {
  return contentRange(headers).totalBytes === part.from && isSameVersion(headers, part)
}

function isSameVersion(headers: IncomingHttpHeaders, part: KnownPart): boolean {
  const { totalBytes } = contentRange(headers)
  const sameTotal = totalBytes === undefined || part.totalBytes === undefined || totalBytes === part.totalBytes
  return sameTotal && validatorOf(headers, totalBytes) === part.validator
}

function contentRange(headers: IncomingHttpHeaders): ContentRange {
  const [, from, to, total] = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/i.exec(singleHeader(headers['content-range']) ?? '') ?? []
  return {
    ...(from !== undefined && { sent: { from: Number(from), to: Number(to) } }),
    ...(total !== undefined && total !== '*' && { totalBytes: Number(total) }),
  }
}

/** The Content-Encoding in lower case; undefined if the body is not encoded. */
export function encodingOf(headers: IncomingHttpHeaders): string | undefined {
  const encoding = singleHeader(headers['content-encoding'])?.trim().toLowerCase()
  return encoding === 'identity' ? undefined : encoding || undefined
}

export function singleHeader(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header
}
