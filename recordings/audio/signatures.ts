// Signatures at the start of files. Only long signatures count, because audio may by chance start with the same two bytes.
import { gunzipSync, constants } from 'node:zlib'
import type { AudioFacts } from '../../contracts/recording.ts'

export type Signature =
  /** Audio or video of a format that is not accepted. */
  { kind: 'container'; audio: AudioFacts } | { kind: 'other'; what: string }

/** Bytes as Latin-1, with their offsets. */
type Pattern = [at: number, bytes: string][]

const CONTAINERS: [pattern: Pattern, contentType: string, extension: string][] = [
  [[[0, 'OggS']], 'audio/ogg', 'ogg'],
  [[[0, 'fLaC']], 'audio/flac', 'flac'],
  [[[4, 'ftypM4A']], 'audio/mp4', 'm4a'],
  [[[4, 'ftyp']], 'video/mp4', 'mp4'],
  ...['moov', 'mdat', 'wide', 'pnot'].map((box): [Pattern, string, string] => [[[4, box]], 'video/quicktime', 'mov']),
  [[[0, '\x1a\x45\xdf\xa3']], 'video/webm', 'webm'],
  [
    [
      [0, 'FORM'],
      [8, 'AIF'],
    ],
    'audio/aiff',
    'aiff',
  ],
  [[[0, 'caff\0']], 'audio/x-caf', 'caf'],
  [[[0, '.snd\0']], 'audio/basic', 'au'],
  [[[0, '#!AMR']], 'audio/amr', 'amr'],
  [[[0, '#!SILK']], 'audio/silk', 'silk'],
  [[[1, '#!SILK']], 'audio/silk', 'silk'],
  [[[0, '\x30\x26\xb2\x75\x8e\x66\xcf\x11']], 'audio/x-ms-wma', 'wma'],
  [[[0, 'FLV\x01']], 'video/x-flv', 'flv'],
  [
    [
      [0, 'RIFF'],
      [8, 'AVI '],
    ],
    'video/x-msvideo',
    'avi',
  ],
  [[[0, 'riff\x2e\x91\xcf\x11']], 'audio/x-w64', 'w64'],
  [[[0, 'wvpk']], 'audio/wavpack', 'wv'],
  [[[0, 'MAC ']], 'audio/ape', 'ape'],
  [[[0, 'MPCK']], 'audio/x-musepack', 'mpc'],
  [[[0, 'TTA1']], 'audio/x-tta', 'tta'],
  [[[0, 'ADIF']], 'audio/aac', 'aac'],
  [[[0, 'MThd\0\0\0\x06']], 'audio/midi', 'mid'],
  [[[0, '\0\0\x01\xba']], 'video/mpeg', 'mpg'],
  [
    [
      [0, 'G'],
      [188, 'G'],
      [376, 'G'],
      [564, 'G'],
    ],
    'video/mp2t',
    'ts',
  ],
]

const OTHERS: [pattern: Pattern, what: string][] = [
  [[[0, '\x89PNG\r\n\x1a\n']], 'an image (image/png)'],
  [[[0, '\xff\xd8\xff']], 'an image (image/jpeg)'],
  [[[0, 'GIF87a']], 'an image (image/gif)'],
  [[[0, 'GIF89a']], 'an image (image/gif)'],
  [
    [
      [0, 'RIFF'],
      [8, 'WEBP'],
    ],
    'an image (image/webp)',
  ],
  [[[0, 'II\x2a\0']], 'an image (image/tiff)'],
  [[[0, 'MM\0\x2a']], 'an image (image/tiff)'],
  // BM, the reserved bytes, and the high bytes of two small numbers.
  [
    [
      [0, 'BM'],
      [6, '\0\0\0\0'],
      [12, '\0\0'],
      [15, '\0\0\0'],
    ],
    'an image (image/bmp)',
  ],
  // One picture, whose bytes start after the header.
  [
    [
      [0, '\0\0\x01\0\x01\0'],
      [18, '\x16\0\0\0'],
    ],
    'an image (image/x-icon)',
  ],
  ...['heic', 'heix', 'avif', 'mif1'].map((brand): [Pattern, string] => [[[4, `ftyp${brand}`]], 'an image (image/heif)']),
  ...['\x03\x04', '\x05\x06', '\x07\x08'].map((mark): [Pattern, string] => [[[0, `PK${mark}`]], 'an archive (application/zip)']),
  [[[0, 'Rar!\x1a\x07']], 'an archive (application/vnd.rar)'],
  [[[0, '7z\xbc\xaf\x27\x1c']], 'an archive (application/x-7z-compressed)'],
  [[[0, 'MSCF\0\0\0\0']], 'an archive (application/vnd.ms-cab-compressed)'],
  [[[0, '!<arch>\n']], 'an archive (application/x-archive)'],
  [[[0, '#EXTM3U']], 'a playlist'],
  [[[257, 'ustar']], 'an archive (application/x-tar)'],
]

const HEAD_BYTES = 1024
/** The first bytes of a file that ends within its first header. */
const BEGINNINGS = ['RIFF', 'RF64', 'BW64', 'ID3', 'OggS', 'fLaC', 'FORM']

/** @param head the start of the file, at least {@link HEAD_BYTES} if the file has as many */
export function signatureOf(head: Buffer): Signature | undefined {
  const text = head.toString('latin1', 0, HEAD_BYTES)
  const other = OTHERS.find(([pattern]) => matches(text, pattern))
  if (other) return { kind: 'other', what: other[1] }
  const container = CONTAINERS.find(([pattern]) => matches(text, pattern))
  return container && { kind: 'container', audio: { contentType: container[1], extension: container[2] } }
}

function matches(text: string, pattern: Pattern): boolean {
  return pattern.every(([at, bytes]) => text.startsWith(bytes, at))
}

/** True if a few bytes may be the start of audio. */
export function isBeginningOfAudio(bytes: Buffer): boolean {
  const text = bytes.toString('latin1', 0, 16)
  if (bytes[0] === 0xff && (bytes[1] ?? 0xff) >= 0xe0) return true // an MP3 frame
  return BEGINNINGS.some((beginning) => text.startsWith(beginning) || beginning.startsWith(text))
}

/** The magic number, and deflate as the method [RFC 1952, 2.3]. */
export const GZIP_SIGNATURE = Buffer.from('1f8b08', 'hex')

export function isGzip(head: Buffer): boolean {
  return head.subarray(0, GZIP_SIGNATURE.length).equals(GZIP_SIGNATURE)
}

/** Decompresses the start of a gzip file. Empty if it cannot be decompressed. */
export function gunzipStart(head: Buffer): Buffer {
  try {
    return gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: 16 * 1024 ** 2 })
  } catch {
    return Buffer.alloc(0)
  }
}
