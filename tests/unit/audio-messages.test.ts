// The message of a server in place of audio: which bytes are recognized as one. Samples and frames are not.
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from '@jest/globals'
import { endsWithMessage, holdsMessage } from '../../recordings/audio/message.ts'
import { startsLikeChunk } from '../../recordings/audio/wav.ts'
import { ape, chunk, chunkAt, id3v1, join, junk, zeros } from '../corpus/bytes.ts'
import { base } from '../corpus/recipes.ts'

/** Bytes that are not text. */
const NOISE = Buffer.from(Array.from({ length: 300 }, (_, at) => 0x80 + ((at * 37) % 64)))
const HTML = '<html><body>Bad</body></html>'

const SIGNS = [
  '<!DOCTYPE html>',
  '<html>',
  '<head lang="en">',
  '<body>',
  '<title>x',
  '<Error>x',
  '<Message>x',
  '<Response>x',
  '<?xml version="1.0"?>',
  'x</soap:Body>',
  '{"code":1',
  '[ { "a b.c-$" : "x',
  '{"a":[',
  '{"a":{',
  '{"a":-1',
  '{"a":true',
  '{"a":false',
  '{"a":null',
  'HTTP/1.1 502 x',
  'HTTP/2 502 x',
  'Not Found',
  'Bad Gateway',
  'bad request',
  'Access Denied',
  'Forbidden',
  'Unauthorized',
  'unauthorised',
  'unavailable',
  'not available',
  'timeout',
  'timed out',
  'Time-out',
  'time out',
  'Too many requests',
  'error',
  'Errors',
  'failure',
  'upstream',
]
const NO_SIGNS = [
  '<htm>',
  '<bodyguard',
  '</ab>',
  '{"":1',
  '{"a"=1',
  '{"a":x',
  `{"${'a'.repeat(65)}":1`,
  'HTTP/1.1 50',
  'terror',
  'timeouts',
  'a>b',
]

describe('When audio ends with the sign of a message, then the message is recognized:', () => {
  test.each(SIGNS)('%s', (sign) => {
    expect(endsWithMessage(join(NOISE, sign))).toBe(true)
    expect(endsWithMessage(join(sign, NOISE))).toBe(false)
    expect(holdsMessage(join(NOISE, sign))).toBe(true)
  })

  test.each(NO_SIGNS)('but not with %s', (text) => {
    expect(endsWithMessage(join(NOISE, text))).toBe(false)
    expect(holdsMessage(join(NOISE, text))).toBe(false)
  })

  test.each<[string, Buffer]>([
    ['zeros after it', join(HTML, zeros(500))],
    ['a control character in it', join('<html>\x01<body>Bad</body>')],
    ['control characters after it', join(HTML, '\x01\x02\x1f\x7f \r\n')],
    ['a tag after it', join(HTML, id3v1())],
    ['two tags after it', join(HTML, ape(), id3v1())],
    ['UTF-16', Buffer.from(HTML, 'utf16le')],
    ['UTF-16, high byte first, with a byte order mark', Buffer.from(`\uFEFF${HTML}`, 'utf16le').swap16()],
    ['umlauts in Latin-1', join('<html>Aufnahme nicht verf\xfcgbar</html>')],
    ['UTF-8 of another script', Buffer.from(`<html>${'रिकॉर्डिंग उपलब्ध नहीं है '.repeat(9)}`)],
    ['gzip', gzipSync(HTML)],
    ['gzip with a file name', join('\x1f\x8b\x08\x08\0\0\0\0\0\x03page.html\0', gzipSync(HTML).subarray(10))],
    ['gzip and a tag', join(gzipSync(HTML), id3v1())],
    ['gzip without its end', gzipSync(HTML.repeat(9)).subarray(0, -9)],
    ['a gzip signature before gzip', join('\x1f\x8b\x08', gzipSync(HTML))],
    ['the rest of a long page', join(HTML.repeat(1000).slice(10))],
  ])('with %s', (_what, message) => {
    expect(endsWithMessage(join(NOISE, message))).toBe(true)
    expect(holdsMessage(join(NOISE, message))).toBe(true)
  })

  test.each([
    ['Internal Server Wrong', true],
    ['Please try again.', true],
    ['please\r\ntry, again!', true],
    ['Bitte später nochmal', true],
    ['wait a moment', false],
    ['twelve twelve', true],
    ['eleven wordy', false],
    ['INTERNAL SERVER', false],
    ['inTernal serVer', false],
    ['internal  -  server', false],
    ['internalserverwrong', false],
    ['internal server\x01.', false],
  ])('words at the end, %j: %s', (words, isMessage) => {
    expect(endsWithMessage(join(NOISE, Buffer.from(words)))).toBe(isMessage)
  })

  test('but not with more than one unreadable character in ten', () => {
    const ends = (defects: number) => endsWithMessage(join(NOISE, '<html>', 'x'.repeat(94 - defects), '\x01'.repeat(defects - 1), '\x01.'))
    expect(ends(9)).toBe(true)
    expect(ends(12)).toBe(false)
  })

  test('but not with gzip data that contains no message', () => {
    expect(endsWithMessage(join(NOISE, gzipSync(junk(500))))).toBe(false)
    expect(endsWithMessage(join(NOISE, gzipSync('just a line')))).toBe(false)
    expect(endsWithMessage(join(NOISE, gzipSync('')))).toBe(false)
  })
})

describe('When bytes are not audio, then a message in them is recognized:', () => {
  test.each<[string, Buffer | string, boolean]>([
    ['words', 'Try later', true],
    ['words between control characters', '\x01\0Try later\x02', true],
    ['words before a tag', join('Try later', ape()), true],
    ['one word', 'word', false],
    ['numbers', '12 34', false],
    ['an end of line', '\r\n', false],
    ['nothing', '', false],
    ['a bracket', 'a<', true],
    ['the rest of JSON', '":1}', true],
    ['words in a tag that does not fit', join('Try later', ape({ claimed: 9999 })), false],
    ['an error before a tag that does not fit', join('Bad gateway '.repeat(9), ape({ claimed: 9999 })), true],
    ['HTML among other bytes', join(NOISE, HTML.repeat(4), NOISE), true],
    ['a sign with other bytes after it', join(NOISE, '<html>', NOISE), false],
    ['words among other bytes', join(NOISE, 'Try later', NOISE), false],
    ['gzip among other bytes', join(NOISE, gzipSync(HTML), NOISE), true],
    ['junk', junk(5000), false],
  ])('%s', (_what, bytes, isMessage) => {
    expect(holdsMessage(join(bytes))).toBe(isMessage)
  })
})

test.each([
  'pcm_s16le',
  'pcm_u8',
  'pcm_s24le',
  'pcm_alaw',
  'pcm_mulaw',
  'alaw-stereo',
  'mulaw-stereo',
  'pcm-stereo-16000',
  'extensible-24',
])('When speech ends at any sample, then it is not mistaken for a message: %s', (name) => {
  const file = base(`${name}.wav`)
  const audio = file.subarray(chunkAt(file, 'data'))
  const ends = Array.from({ length: Math.floor(audio.length / 97) }, (_, index) => index * 97)
  expect(ends.filter((end) => endsWithMessage(audio.subarray(Math.max(0, end - 2000), end)))).toEqual([])
})

test.each<[string, Buffer, boolean]>([
  ['a chunk', chunk('iXML', zeros(3), 5000), true],
  ['a chunk with a blank in its name', chunk('fmt ', zeros(16)), true],
  ['a chunk of 16 MB', chunk('iXML', zeros(0), 2 ** 24), false],
  ['text', Buffer.from('Internal Server Error'), false],
  ['no name', chunk('<?xm', zeros(3)), false],
])('When bytes follow the audio of a WAV, then only those of a chunk are recognized as one: %s', (_what, bytes, isChunk) => {
  expect(startsLikeChunk(bytes)).toBe(isChunk)
})
