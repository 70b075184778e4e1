// Files with missing bytes, and files that end with the message of a server.
import { ape, chunkAt, frameEnd, id3Text, id3v1, id3v2, join, junk, patched, withDataSize, zeros } from './bytes.ts'
import type { Recipe, Truth } from './recipe.ts'
import { FRAME_BYTES } from './recipes-tags.ts'

const HTML =
  '<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n'
const MESSAGES: [string, string][] = [
  ['HTML', HTML.repeat(4)],
  ['a short HTML page', HTML],
  [
    'XML',
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>'.repeat(
      3,
    ),
  ],
  ['JSON', `{"error":{"code":503,"message":"The upstream server closed the connection","id":"${'0'.repeat(300)}"}}`],
  ['plain text', 'upstream connect error or disconnect/reset before headers. reset reason: connection failure. '.repeat(4)],
]

export function truncated(base: (name: string) => Buffer): Recipe[] {
  const plain = base('mono-8000.mp3')
  const info = base('lame-info.mp3')
  return [
    ...cuts(
      'plain MP3',
      plain,
      [1, 2, 3, 4, 5, 20, 144, 287, 400, 4500, 8000, plain.length - 1, plain.length - 284, plain.length - 287],
      'truncated',
    ),
    ...cuts('plain MP3', plain, [frameEnd(plain, FRAME_BYTES, 0.3), frameEnd(plain, FRAME_BYTES, 0.8)], 'undetectable'),
    ...cuts(
      'plain MP3 in a header',
      plain,
      [1, 2, 3].map((bytes) => frameEnd(plain, FRAME_BYTES, 0.5) + bytes),
      'truncated',
    ),
    ...cuts('MP3 with Info', info, [3, 50, 287, 288, 289, 576, 2000, 4000, info.length - 288, info.length - 1], 'truncated'),
    ...['lame-vbr.mp3', 'lame-crc.mp3', 'free-16000.mp3', 'info-stereo-16000.mp3'].flatMap((name) => shares(name, base(name))),
    ...['free-32000.mp3', 'stereo-44100.mp3', 'layer2.mp2'].flatMap((name) => cuts(name, base(name), [2501, 3333], 'truncated')),
    ...holes('MP3 with Info', info),
    ...holes('MP3 of variable bit rate', base('lame-vbr.mp3')),
    ...tags(plain),
    ...['pcm_s16le.wav', 'pcm_alaw.wav', 'mulaw-stereo.wav', 'rf64.wav', 'extensible-24.wav'].flatMap((name) => waves(name, base(name))),
    ...cuts('piped-ffmpeg.wav', base('piped-ffmpeg.wav'), [9000], 'undetectable'),
    ...MESSAGES.flatMap(([what, message]) =>
      messages(what, message, { plain, info, stereo: base('stereo-44100.mp3'), wav: base('pcm_s16le.wav') }),
    ),
  ]
}

function cuts(name: string, file: Buffer, lengths: number[], truth: Truth): Recipe[] {
  return lengths.map((bytes) => ({ name: `${name} after ${bytes} of ${file.length} bytes`, truth, file: file.subarray(0, bytes) }))
}

function shares(name: string, file: Buffer): Recipe[] {
  return cuts(
    name,
    file,
    [0.2, 0.5, 0.95].map((share) => Math.floor(file.length * share) + 1),
    'truncated',
  )
}

/** Bytes in the middle are missing or replaced. The Info header shows how many frames are missing. */
function holes(name: string, file: Buffer): Recipe[] {
  const at = 4013
  const cut = (what: string, bytes: Buffer): Recipe => ({ name: `${name} with ${what}`, truth: 'truncated', file: bytes })
  return [
    ...[20, 289, 400, 1000].map((hole) => cut(`${hole} bytes less in the middle`, join(file.subarray(0, at), file.subarray(at + hole)))),
    ...[400, 1000].map((hole) => cut(`${hole} zeros in the middle`, patched(file, at, zeros(hole)))),
    cut('1,000 bytes of junk in the middle', patched(file, at, junk(1000))),
  ]
}

function tags(plain: Buffer): Recipe[] {
  const tag = id3v2(id3Text(300))
  return [
    ...cuts('ID3v2 tag', join(tag, plain), [3, 9, 100, 309], 'truncated'),
    ...cuts('MP3 behind an ID3v2 tag', join(tag, plain), [350, 5000], 'truncated'),
    { name: 'truncated MP3 with an ID3v1 tag behind it', truth: 'truncated', file: join(plain.subarray(0, 5000), id3v1()) },
    { name: 'truncated MP3 with an APE tag behind it', truth: 'truncated', file: join(plain.subarray(0, 5000), ape()) },
    { name: 'truncated MP3 filled up with zeros', truth: 'undetectable', file: join(plain.subarray(0, 5000), zeros(3000)) },
  ]
}

function waves(name: string, file: Buffer): Recipe[] {
  const data = chunkAt(file, 'data')
  const lengths = [2, 4, 11, 12, 16, 30, data - 4, data, data + 1, data + 100, Math.floor(file.length / 2), file.length - 100]
  return cuts(name, file, lengths, 'truncated')
}

function messages(what: string, message: string, files: Record<'plain' | 'info' | 'stereo' | 'wav', Buffer>): Recipe[] {
  const { plain, info, stereo, wav } = files
  const piped = withDataSize(wav, 0xffffffff)
  const cut = (name: string, file: Buffer): Recipe => ({ name: `${name} and ${what}`, truth: 'truncated', file: join(file, message) })
  return [
    cut('MP3 truncated in a frame', plain.subarray(0, 5000)),
    cut('MP3 truncated 10 bytes before the end of a frame', plain.subarray(0, FRAME_BYTES * 10 - 10)),
    cut('MP3 truncated between frames', plain.subarray(0, FRAME_BYTES * 10)),
    cut('MP3 with Info, truncated', info.subarray(0, 2000)),
    cut('stereo MP3, truncated', stereo.subarray(0, 5000)),
    cut('WAV truncated', wav.subarray(0, 5000)),
    ...(what === 'plain text' ? [] : [cut('WAV without a size, truncated', piped.subarray(0, 5000))]),
  ]
}
