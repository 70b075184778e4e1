// The file of a recording, and an earlier version of it for sources that replace the file between two requests.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename, extname } from 'node:path'

/** One version of a file, as the source serves it at one time. */
export interface Recording {
  fileName: string
  contentType: string
  bytes: Buffer
  sha256: string
  /** The strong one. */
  etag: string
  modifiedAt: Date
}

/** How an earlier version differs from the present one. Its bytes always differ. */
export interface Change {
  length: 'same' | 'other'
  lastModified: 'same' | 'other'
}

const CONTENT_TYPES: Record<string, string> = { '.mp3': 'audio/mpeg', '.wav': 'audio/wav' }
/** A Last-Modified that is less than a second old is a weak validator (RFC 9110, 8.8.2.2). These are strong ones. */
const MODIFIED_BEFORE_MS = 3600_000
const EARLIER_BY_MS = 3600_000
/** An ID3 tag, a Xing frame or a RIFF header lies before this offset and stays as it is. */
const HEADER_BYTES = 4096
/** A trailing tag or RIFF chunk stays as it is. */
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

/** Its beginning joined to the end of the present version is whole audio, so no look at the audio finds the mix. */
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

/** Changes the sound and no header: an MP3 frame's header begins with the byte 0xFF and has four bytes. */
function alterAudio(bytes: Buffer): Buffer {
  const altered = Buffer.from(bytes)
  for (let at = HEADER_BYTES; at < bytes.length - TRAILER_BYTES; at += 1) {
    const mayBeHeader = bytes.subarray(at - MP3_HEADER_BYTES + 1, at + 1).includes(0xff)
    const value = bytes[at]! ^ 0x01
    if (!mayBeHeader && value !== 0xff) altered[at] = value
  }
  return altered
}
