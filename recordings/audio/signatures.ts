// What the first bytes of a file certainly are. Only long signatures count: two bytes that fit may be the beginning of audio.
import { gunzipSync, constants } from 'node:zlib'
import type { AudioFacts } from '../../workflows/contracts/recording.ts'

export type Signature =
  /** Audio or video of a format that is not accepted. */
  { kind: 'container'; audio: AudioFacts } | { kind: 'other'; what: string }

const CONTAINERS: [pattern: RegExp, contentType: string, extension: string][] = [
  [/^OggS/, 'audio/ogg', 'ogg'],
  [/^fLaC/, 'audio/flac', 'flac'],
  [/^....ftypM4[AB]/s, 'audio/mp4', 'm4a'],
  [/^....ftyp/s, 'video/mp4', 'mp4'],
  [/^....(moov|mdat|wide|pnot|skip|free)\0?/s, 'video/quicktime', 'mov'],
  [/^\x1a\x45\xdf\xa3/, 'video/webm', 'webm'],
  [/^FORM....AIF[FC]/s, 'audio/aiff', 'aiff'],
  [/^caff\0/, 'audio/x-caf', 'caf'],
  [/^(\.snd|dns\.)\0?/, 'audio/basic', 'au'],
  [/^#!AMR/, 'audio/amr', 'amr'],
  [/^\x02?#!SILK/, 'audio/silk', 'silk'],
  [/^\x30\x26\xb2\x75\x8e\x66\xcf\x11/, 'audio/x-ms-wma', 'wma'],
  [/^FLV\x01/, 'video/x-flv', 'flv'],
  [/^RIFF....AVI /s, 'video/x-msvideo', 'avi'],
  [/^riff\x2e\x91\xcf\x11/, 'audio/x-w64', 'w64'],
  [/^wvpk/, 'audio/wavpack', 'wv'],
  [/^MAC /, 'audio/ape', 'ape'],
  [/^(MPCK|MP\+)/, 'audio/x-musepack', 'mpc'],
  [/^TTA1/, 'audio/x-tta', 'tta'],
  [/^ADIF/, 'audio/aac', 'aac'],
  [/^MThd\0\0\0\x06/, 'audio/midi', 'mid'],
  [/^\0\0\x01\xba/, 'video/mpeg', 'mpg'],
  [/^G.{187}G.{187}G/s, 'video/mp2t', 'ts'],
]

const OTHERS: [pattern: RegExp, what: string][] = [
  [/^\x89PNG\r\n\x1a\n/, 'an image (image/png)'],
  [/^\xff\xd8\xff[\xc0-\xfe]/, 'an image (image/jpeg)'],
  [/^GIF8[79]a/, 'an image (image/gif)'],
  [/^RIFF....WEBP/s, 'an image (image/webp)'],
  [/^(II\x2a\0|MM\0\x2a)/, 'an image (image/tiff)'],
  [/^BM....\0\0\0\0..\0\0[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0/s, 'an image (image/bmp)'],
  [/^\0\0\x01\0[\x01-\x20]\0..[\0-\xff]\0[\0\x01]\0/s, 'an image (image/x-icon)'],
  [/^....ftyp(heic|heix|avif|mif1)/s, 'an image (image/heif)'],
  [/^PK(\x03\x04|\x05\x06|\x07\x08)/, 'an archive (application/zip)'],
  [/^Rar!\x1a\x07/, 'an archive (application/vnd.rar)'],
  [/^7z\xbc\xaf\x27\x1c/, 'an archive (application/x-7z-compressed)'],
  [/^MSCF\0\0\0\0/, 'an archive (application/vnd.ms-cab-compressed)'],
  [/^!<arch>\n/, 'an archive (application/x-archive)'],
  [/^.{257}ustar/s, 'an archive (application/x-tar)'],
]

const HEAD_BYTES = 1024
/** Beginnings that a file shorter than its first header may have. */
const BEGINNINGS = ['RIFF', 'RF64', 'BW64', 'ID3', 'OggS', 'fLaC', 'FORM']

/** @param head as much of the file as there is, up to {@link HEAD_BYTES} */
export function signatureOf(head: Buffer): Signature | undefined {
  const text = head.toString('latin1', 0, HEAD_BYTES)
  const other = OTHERS.find(([pattern]) => pattern.test(text))
  if (other) return { kind: 'other', what: other[1] }
  const container = CONTAINERS.find(([pattern]) => pattern.test(text))
  return container && { kind: 'container', audio: { contentType: container[1], extension: container[2] } }
}

/** A few bytes that may be the beginning of audio. */
export function isBeginningOfAudio(bytes: Buffer): boolean {
  const text = bytes.toString('latin1', 0, 16)
  if (bytes[0] === 0xff && (bytes[1] ?? 0xff) >= 0xe0) return true // an MP3 frame
  return BEGINNINGS.some((beginning) => text.startsWith(beginning) || beginning.startsWith(text))
}

export function isGzip(head: Buffer): boolean {
  return head.toString('latin1', 0, 3) === '\x1f\x8b\x08'
}

/** What the beginning of a gzip file decompresses to; empty where it does not decompress. */
export function gunzipStart(head: Buffer): Buffer {
  try {
    return gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: 16 * 1024 ** 2 })
  } catch {
    return Buffer.alloc(0)
  }
}
