// Truncated audio that is followed by the message of a server, in forms that are hard to recognize.
import { gzipSync } from 'node:zlib'
import { ape, chunkAt, id3Text, id3v1, id3v2, join, junk, lyrics3, withDataSize, zeros } from './bytes.ts'
import type { Recipe } from './recipe.ts'
import { FRAME_BYTES } from './recipes-tags.ts'

const HTML = '<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>'
const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le')
const MESSAGES: [string, Buffer][] = [
  ['a zero and HTML', join(zeros(1), HTML)],
  ['5,000 zeros and HTML', join(zeros(5000), HTML)],
  ['HTML and 100 zeros', join(HTML, zeros(100))],
  ['HTML with a control character in it', join(HTML.slice(0, 60), '\x01', HTML.slice(60))],
  ['HTML in UTF-16 with a byte order mark', utf16(`\uFEFF${HTML}`)],
  ['HTML in UTF-16, high byte first', utf16(HTML).swap16()],
  ['HTML and an ID3v1 tag', join(HTML, id3v1())],
  ['HTML and an APE tag', join(HTML, ape())],
  ['HTML, lyrics and an ID3v1 tag', join(HTML, lyrics3(), id3v1())],
  ['HTML compressed with gzip', gzipSync(HTML.repeat(3))],
  ['HTML of 17 bytes', join('<html>oops</html>')],
  ['a short XML error', join('<Error>Access denied</Error>')],
  ['a short JSON error', join('{"code":503}')],
  ['three words', join('Internal Server Error')],
  ['three words with an end of line and a zero', join('Internal Server Error\r\n\0')],
  ['three words and an ID3v1 tag', join('Internal Server Error', id3v1())],
  ['words in UTF-8', Buffer.from('Die Aufnahme ist später verfügbar.')],
]

export function messages(base: (name: string) => Buffer): Recipe[] {
  const mp3 = base('mono-8000.mp3').subarray(0, FRAME_BYTES * 10)
  const wav = base('pcm_s16le.wav').subarray(0, 5000)
  const cut = (name: string, file: Buffer): Recipe => ({ name, truth: 'truncated', file })
  return [
    ...MESSAGES.flatMap(([what, message]) => [
      cut(`MP3 truncated between frames, ${what}`, join(mp3, message)),
      cut(`WAV without a size, truncated, ${what}`, join(withDataSize(wav, 0xffffffff), message)),
    ]),
    ...['HTML and 3,000 bytes of junk', 'HTML and an ID3v2 tag'].map((what, index) =>
      cut(`MP3 truncated between frames, ${what}`, join(mp3, HTML, index === 0 ? junk(3000) : id3v2(id3Text(100)))),
    ),
    ...['pcm_s16le', 'pcm_u8', 'pcm_s24le', 'pcm_alaw', 'pcm_mulaw', 'alaw-stereo'].map((name) =>
      cut(`${name}.wav, truncated and filled up with HTML`, filledUp(base(`${name}.wav`))),
    ),
    cut('RF64 truncated and filled up with HTML', filledUp(base('rf64.wav'))),
    cut('WAV truncated, filled up with HTML, and a list', join(filledUp(base('pcm_s16le.wav')), 'LIST\x04\0\0\0INFO')),
  ]
}

/** Replaces the end of the audio with HTML. The length stays the same, so the header shows no missing bytes. */
function filledUp(wav: Buffer): Buffer {
  const end = Math.floor((chunkAt(wav, 'data') + wav.length) / 2)
  return join(wav.subarray(0, end), HTML.repeat(1000).slice(-(wav.length - end)))
}
