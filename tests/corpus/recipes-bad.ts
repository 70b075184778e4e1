// What is no audio, and what nobody can read.
import { gzipSync } from 'node:zlib'
import { id3Text, id3v2, join, junk, uint32le, zeros } from './bytes.ts'
import type { Recipe } from './recipes.ts'

const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
const HTML = '<!DOCTYPE html>\n<html><head><title>Log in</title></head><body><form action="/login"></form></body></html>'
const JPEG = join('\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0', junk(2000, 'jpeg'), '\xff\xd9')
const BMP = join('BM', uint32le(58), zeros(4), uint32le(54), uint32le(40), uint32le(1), uint32le(1), '\x01\0\x18\0', zeros(28))
const ICON = join('\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0', uint32le(1000), uint32le(22), junk(1000, 'icon'))

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
    ['an MP3 encoded as base64', Buffer.from(mp3.toString('base64'))],
    ['an ID3 tag alone', id3v2(id3Text(300))],
    ['an ID3 tag before FLAC', join(id3v2(id3Text(300)), base('other.flac'))],
    ['a ZIP that holds an MP3', join('PK\x03\x04\x14\0\0\0\0\0', zeros(20), 'call.mp3', mp3, 'PK\x01\x02', zeros(60))],
    ['a picture before an MP3', join(JPEG, mp3)],
    ['three frames among 200 kB of junk', join(junk(100_000), mp3.subarray(0, 3 * 288), junk(100_000, 'more'))],
    ['UTF-16 marks before random bytes', join('\xff\xfe', junk(3000))],
    ['BM before random bytes', join('BM', junk(3000))],
  ]
  return [
    ...NOT_AUDIO.map(([name, file]): Recipe => ({ name, truth: 'not audio', file: join(file) })),
    ...other.map(([name, file]): Recipe => ({ name, truth: 'other', file })),
  ]
}
