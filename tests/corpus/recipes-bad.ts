// Files that are not audio, and files that cannot be read as audio.
import { gzipSync } from 'node:zlib'
import { id3Text, id3v2, join, junk, uint32le, zeros } from './bytes.ts'
import type { Recipe } from './recipe.ts'

const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
const HTML = '<!DOCTYPE html>\n<html><head><title>Log in</title></head><body><form action="/login"></form></body></html>'
const JPEG = join('\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0', junk(2000, 'jpeg'), '\xff\xd9')
const BMP = join('BM', uint32le(58), zeros(4), uint32le(54), uint32le(40), uint32le(1), uint32le(1), '\x01\0\x18\0', zeros(28))
const ICON = join('\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0', uint32le(1000), uint32le(22), junk(1000, 'icon'))

const IMAGE = `<img src="data:image/png;base64,${junk(20_000, 'image').toString('base64')}">`

const NOT_AUDIO: [string, Buffer | string][] = [
  ['an empty file', ''],
  ['an HTML page', HTML],
  ['an HTML page behind blanks and a byte order mark', `\xef\xbb\xbf\n  ${HTML}`],
  ['an HTML page of 300 kB', HTML.repeat(3000)],
  ['an HTML page in Latin-1', `<html><body>Aufnahme nicht verf\xfcgbar</body></html>`],
  ['an HTML page in UTF-16', join('\xff\xfe', Buffer.from(HTML, 'utf16le'))],
  ['an XML error', '<?xml version="1.0"?><RestException><Status>404</Status></RestException>'],
  ['XML without a declaration', '<Error><Code>AccessDenied</Code></Error>'],
  ['JSON', '{"RestException":{"Status":404,"Message":"Not found"}}'],
  ['a JSON list', '[1, 2, 3]'],
  ['plain text', 'The recording is not available.\n'],
  ['an HTML page with a picture in it', HTML.replace('<form', `${IMAGE}<form`)],
  ['an HTML page with a script without blanks', HTML.replace('<form', `<script>${'function(a){return+a.b}'.repeat(200)}</script><form`)],
  ['a JSON document without blanks', JSON.stringify(Array.from({ length: 100 }, (_, id) => ({ id, sid: `CA${id}`, state: 'failed' })))],
  ['an HTML page in UTF-16, high byte first', Buffer.from(`\uFEFF${HTML}`, 'utf16le').swap16()],
  ['plain text in UTF-16', Buffer.from('\uFEFFThe recording is not available.', 'utf16le')],
  ['plain text of 300 kB', 'The recording is not available.\n'.repeat(10_000)],
  ['plain text in Hindi', Buffer.from('रिकॉर्डिंग उपलब्ध नहीं है')],
  ['one word', 'Forbidden'],
  ['plain text in UTF-8', Buffer.from('Die Aufnahme ist nicht verfügbar – bitte später.')],
  ['a playlist', '#EXTM3U\n#EXT-X-VERSION:3\nsegment1.ts\n'],
  ['PNG', PNG],
  ['JPEG', JPEG],
  ['GIF', join('GIF89a', junk(500, 'gif'))],
  ['WebP', join('RIFF', uint32le(500), 'WEBPVP8 ', junk(492, 'webp'))],
  ['BMP', BMP],
  ['an icon', ICON],
  ['ZIP', join('PK\x03\x04\x14\0\0\0\x08\0', junk(800, 'zip'))],
  ['an empty ZIP', join('PK\x05\x06', zeros(18))],
  ['RAR', join('Rar!\x1a\x07\x01\0', junk(500, 'rar'))],
  ['7z', join('7z\xbc\xaf\x27\x1c\0\x04', junk(500, '7z'))],
  ['tar', join('notes.txt'.padEnd(257, '\0'), 'ustar\x0000', zeros(248), 'text', zeros(508))],
  ['an HTML page compressed with gzip', gzipSync(HTML)],
]

export function bad(base: (name: string) => Buffer): Recipe[] {
  const mp3 = base('mono-8000.mp3')
  const other: [string, Buffer][] = [
    ['random bytes', junk(5000)],
    ['a few random bytes', Buffer.from([0x17, 0x03, 0x90])],
    ['zeros only', zeros(100_000)],
    ['PDF', join('%PDF-1.7\n%\xe2\xe3\xcf\xd3\n', junk(2000, 'pdf'))],
    ['an MP3 compressed with gzip', gzipSync(mp3)],
    ['a gzip file that breaks off', gzipSync(mp3).subarray(0, 30)],
    ['an HTML page with binary data behind it', join(HTML, junk(3000, 'html'))],
    ['A-law silence without a header', Buffer.alloc(8000, 0x55)],
    ['a tenth of a second of A-law silence without a header', Buffer.alloc(800, 0x55)],
    ['zeros before an MP4', join(zeros(70_000), base('other.mp4'))],
    ['junk before a Matroska file', join(junk(500), base('other.mka'))],
    ['BM before random bytes', join('BM', junk(3000))],
    ...encoded(mp3),
    ...likeText(),
    ['an ID3 tag alone', id3v2(id3Text(300))],
    ['an ID3 tag before FLAC', join(id3v2(id3Text(300)), base('other.flac'))],
    ['a ZIP that holds an MP3', join('PK\x03\x04\x14\0\0\0\0\0', zeros(20), 'call.mp3', mp3, 'PK\x01\x02', zeros(60))],
    ['a picture before an MP3', join(JPEG, mp3)],
    ...fewFrames(mp3),
    ['three frames among 200 kB of junk', join(junk(100_000), mp3.subarray(0, 3 * 288), junk(100_000, 'more'))],
    ['UTF-16 marks before random bytes', join('\xff\xfe', junk(3000))],
  ]
  return [
    ...NOT_AUDIO.map(([name, file]): Recipe => ({ name, truth: 'not audio', file: join(file) })),
    ...other.map(([name, file]): Recipe => ({ name, truth: 'other', file })),
  ]
}

/** Text that contains audio in an encoding. */
function encoded(mp3: Buffer): [string, Buffer][] {
  const base64 = mp3.toString('base64')
  const lines = base64.replaceAll(/.{76}/g, '$&\r\n')
  return [
    ['an MP3 encoded as base64', join(base64)],
    ['an MP3 encoded as base64 in lines', join(lines)],
    ['an MP3 encoded as base64 in an e-mail', join('Content-Type: audio/mpeg\r\nContent-Transfer-Encoding: base64\r\n\r\n', lines)],
    ['an MP3 in a data URL', join('data:audio/mpeg;base64,', base64)],
    ['an MP3 in a data URL in HTML', join(`<html><body><audio src="data:audio/mpeg;base64,${base64}"></body></html>`)],
    ['an MP3 behind a picture in HTML', join(`<html><body>${IMAGE}<audio src="data:audio/mpeg;base64,${base64}"></body></html>`)],
    ['an MP3 in XML', join(`<?xml version="1.0"?><recording>${base64}</recording>`)],
    ['an MP3 in lines in XML', join(`<?xml version="1.0"?><recording>\n${lines}\n</recording>`)],
    ['an MP3 in JSON', join(JSON.stringify({ audio: base64 }))],
    ['an MP3 in lines in JSON', join(JSON.stringify({ audio: lines }))],
    ['an MP3 as numbers in JSON', join(JSON.stringify(mp3))],
    ['an MP3 as numbers in lines in JSON', join(JSON.stringify(mp3, null, 2))],
    [
      'an MP3 in escapes in JSON',
      join(JSON.stringify(mp3.toString('latin1')).replaceAll(/[^ -~]/g, (c) => `\\u00${Buffer.from(c, 'latin1').toString('hex')}`)),
    ],
    ['an MP3 as hexadecimal numbers', join(mp3.toString('hex').replaceAll(/.{60}/g, '$&\n'))],
    ['an MP3 as hexadecimal numbers with blanks', join(mp3.toString('hex').replaceAll(/../g, '$& '))],
    ['an MP3 in UTF-16', Buffer.from(`\uFEFF<recording>${base64}</recording>`, 'utf16le')],
    ['an MP3 in JSON compressed with gzip', gzipSync(JSON.stringify({ audio: base64 }))],
  ]
}

/** Samples whose bytes look like characters of text. */
function likeText(): [string, Buffer][] {
  const cycle = (bytes: number[], length: number): Buffer => Buffer.from(Array.from({ length }, (_, at) => bytes[(at * 7) % bytes.length]!))
  const small = (length: number): Buffer => Buffer.from(Uint16Array.from({ length }, (_, at) => 0x20 + ((at * 37) % 500)).buffer)
  return [
    ['a tenth of a second of quiet A-law', cycle([0x55, 0x54, 0x57, 0x55], 800)],
    ['quiet A-law that begins like a JSON list', join('[[', cycle([0x55, 0x54, 0x57, 0x55], 800))],
    ['quiet A-law that begins like a tag of XML', join('<U', cycle([0x55, 0x54, 0x57, 0x55], 800))],
    ['A-law with bytes like blanks', cycle([0x55, 0x54, 0x20, 0x2a, 0x3f], 8000)],
    ['A-law with bytes like ends of lines', cycle([0x55, 0x54, 0x0a, 0x57, 0x53], 8000)],
    ['8-bit samples like small letters', cycle([0x70, 0x74, 0x79, 0x7e, 0x7a, 0x75, 0x72], 8000)],
    ['8-bit samples like words without vowels', cycle([0x70, 0x74, 0x20, 0x72, 0x73, 0x78], 800)],
    ['16-bit samples like UTF-16', join('\xff\xfe', small(4000))],
    ['16-bit samples of which the first are like UTF-16', join('\xff\xfe', small(400), junk(5000))],
  ]
}

/** Bytes that look like a few frames by chance. */
function fewFrames(mp3: Buffer): [string, Buffer][] {
  const [frame, three] = [mp3.subarray(0, 288), mp3.subarray(0, 3 * 288)]
  return [
    ['three frames among 5 kB of junk', join(junk(2500), three, junk(2500, 'more'))],
    ['three frames before 1 kB of junk', join(three, junk(1000))],
    ['three frames behind 24 kB of junk', join(junk(24_000), three)],
    ['nine frames behind 3 kB of junk', join(junk(3000), mp3.subarray(0, 9 * 288))],
    ['four times three frames among 8 kB of junk', join(...[1, 2, 3, 4].flatMap((part) => [junk(2000, `${part}`), three]))],
    ['three frames behind an ID3 tag and before junk', join(id3v2(id3Text(300)), three, junk(1000))],
    ['one frame among junk', join(junk(400), frame, junk(400))],
  ]
}
