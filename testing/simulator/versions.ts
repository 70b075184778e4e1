// The file of a recording, and an earlier version for sources that replace the file between two requests.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename, extname } from 'node:path'

/** One version of a file. */
export interface Recording {
  fileName: string
  contentType: string
  bytes: Buffer
  sha256: string
  /** The strong ETag. */
  etag: string
  modifiedAt: Date
}

/** The differences between an earlier version and the current one. The bytes always differ. */
export interface Change {
  length: 'same' | 'other'
  lastModified: 'same' | 'other'
}

const CONTENT_TYPES: Record<string, string> = { '.mp3': 'audio/mpeg', '.wav': 'audio/wav' }
/** A Last-Modified less than a second before the response is a weak validator (RFC 9110, 8.8.2.2). These are strong validators. */
const MODIFIED_BEFORE_MS = 3600_000
const EARLIER_BY_MS = 3600_000
/** An ID3 tag, a Xing frame or a RIFF header is before this offset and is not changed. */
const HEADER_BYTES = 4096
/** A trailing tag or RIFF chunk is not changed. */
const TRAILER_BYTES = 1024
const MP3_HEADER_BYTES = 4

export function readRecording(path: string, now: Date): Recording {
  const contentType = CONTENT_TYPES[extname(path).toLowerCase()] ?? 'application/octet-stream'
  return version({
    fileName: basename(path),
    contentType,
    bytes: readFileSync(path),
    modifiedAt: new Date(now.getTime() - MODIFIED_BEFORE_MS),
  })
}

/** The beginning of this version and the end of the current one together are valid audio, so validation cannot detect the mix. */
export function earlierVersion(present: Recording, { length, lastModified }: Change): Recording {
  const altered = alterAudio(present.bytes)
  return version({
    ...present,
    bytes: length === 'same' ? altered : altered.subarray(0, Math.floor(altered.length * 0.75)),
    modifiedAt: lastModified === 'same' ? present.modifiedAt : new Date(present.modifiedAt.getTime() - EARLIER_BY_MS),
  })
}

function version(file: Omit<Recording, 'sha256' | 'etag'>): Recording {
  const sha256 = createHash('sha256').update(file.bytes).digest('hex')
  return { ...file, sha256, etag: `"${sha256.slice(0, 32)}"` }
}

/** Changes the sound but no headers. The header of an MP3 frame starts with the byte 0xFF and has four bytes. */
function alterAudio(bytes: Buffer): Buffer {
  const altered = Buffer.from(bytes)
  for (let at = HEADER_BYTES; at < bytes.length - TRAILER_BYTES; at += 1) {
    const mayBeHeader = bytes.subarray(at - MP3_HEADER_BYTES + 1, at + 1).includes(0xff)
    const value = bytes[at]! ^ 0x01
    if (!mayBeHeader && value !== 0xff) altered[at] = value
  }
  return altered
}
