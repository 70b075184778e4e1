// Tags, signatures and text in a file: how they are recognized by their bytes.
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from '@jest/globals'
import { gunzipStart, isBeginningOfAudio, isGzip, signatureOf, type Signature } from '../../recordings/audio/signatures.ts'
import { id3v2BytesAt, startsLikeTag, tagBytesAt, withoutTags } from '../../recordings/audio/tags.ts'
import { TextCheck } from '../../recordings/audio/text.ts'
import { ape, id3v1, id3v2, join, lyrics3, zeros } from '../corpus/bytes.ts'

const latin1 = (text: string) => Buffer.from(text, 'latin1')

describe('When a tag starts at an offset in a view, then its length is known:', () => {
  const before = latin1('x'.repeat(5))
  const extended = join('TAG+', zeros(223), id3v1())
  test.each<[string, Buffer, number]>([
    ['ID3v1 at the end', id3v1(), 128],
    ['ID3v1, extended', extended, 227],
    ['ID3v2 without content', id3v2(zeros(0)), 10],
    ['ID3v2', id3v2(zeros(300)), 310],
    ['ID3v2 with a footer', join(id3v2(zeros(300), { flags: 0x10 }), zeros(10)), 320],
    ['APE with a header', ape(), ape().length],
    ['the footer of an APE tag', ape({ header: false, claimed: 32 }).subarray(-32), 32],
    ['Lyrics3 v2', lyrics3(), lyrics3().length],
    ['Lyrics3 v1', latin1('LYRICSBEGINthank youLYRICSEND'), 29],
  ])('%s', (_what, tag, bytes) => {
    expect(tagBytesAt(join(before, tag), before.length, tag.length)).toBe(bytes)
    expect(startsLikeTag(tag)).toBe(true)
  })

  test.each<[string, Buffer, number]>([
    ['ID3v1 in the middle', id3v1(), 129],
    ['ID3v1 that is cut', id3v1(), 127],
    ['128 bytes that start with T', join('TAP', zeros(125)), 128],
    ['an extended ID3v1 in the middle', extended, 356],
    ['355 bytes that start like ID3v1', join('TAG-', zeros(351)), 355],
    ['ID3v2 that is longer than the file', id3v2(zeros(300)), 309],
    ['ID3v2 whose header is cut', id3v2(zeros(0)).subarray(0, 9), 9],
    ['bytes that start with I', join('IDx', zeros(20)), 23],
    ['an APE header that is cut', ape().subarray(0, 31), 31],
    ['bytes that start with A', join('APETAGES', zeros(4), Buffer.from([32, 0, 0, 0]), zeros(16)), 32],
    ['the footer of an APE tag with items before it', ape({ header: false, claimed: 64 }).subarray(-32), 32],
    ['lyrics without an end', latin1('LYRICSBEGINthank you'), 20],
    ['an end of lyrics without a start', latin1('LYRICSLYRICS200'), 15],
    ['frames', Buffer.from('fffb9064', 'hex'), 4],
  ])('but not of %s', (_what, bytes, left) => {
    expect(tagBytesAt(join(before, bytes), before.length, left)).toBeUndefined()
  })

  test('the size of an ID3v2 tag is read from four bytes of seven bits', () => {
    const claims = (bytes: number) => id3v2BytesAt(join(before, id3v2(zeros(0), { claimed: bytes })), before.length)
    expect([127, 128, 300_000, 2 ** 28 - 1].map(claims)).toEqual([137, 138, 300_010, 2 ** 28 + 9])
    expect(id3v2BytesAt(Buffer.from('49443304000080818283', 'hex'), 0)).toBe(10 + 128 ** 2 + 2 * 128 + 3)
    expect(id3v2BytesAt(latin1('ID4'.padEnd(20, '\0')), 0)).toBeUndefined()
  })

  test.each<[string, Buffer, Buffer]>([
    ['ID3v1', id3v1(), zeros(0)],
    ['ID3v1, extended', extended, zeros(0)],
    ['an APE tag', ape(), zeros(0)],
    ['an APE tag without a header', ape({ header: false }), zeros(0)],
    ['lyrics', lyrics3(), zeros(0)],
    ['Lyrics3 v1', latin1('LYRICSBEGINthank youLYRICSEND'), zeros(0)],
    ['an APE tag, lyrics and ID3v1', join(ape(), lyrics3(), id3v1()), zeros(0)],
    ['an APE tag that claims 5,000 bytes', ape({ claimed: 5000 }), ape({ claimed: 5000 })],
    ['an APE tag that claims less than its footer', ape({ claimed: 31 }), ape({ claimed: 31 })],
    ['the footer of an APE tag alone', ape({ header: false, claimed: 32 }), ape({ header: false, claimed: 32 }).subarray(0, -32)],
    ['an end of lyrics without a start', latin1('LYRICS200'), latin1('LYRICS200')],
    ['half an ID3v1 tag', id3v1().subarray(1), id3v1().subarray(1)],
  ])('and tags at the end of bytes are removed: %s', (_what, tag, rest) => {
    expect(withoutTags(tag)).toEqual(rest)
    expect(withoutTags(join('some', tag))).toEqual(join('some', rest))
  })

  test.each(['TAG', '3DI', 'APETAGEX', 'LYRICSBEGIN', 'ID3'])('%s starts a tag only at the first byte', (mark) => {
    expect(startsLikeTag(latin1(`${mark} and so on`))).toBe(true)
    expect(startsLikeTag(latin1(` ${mark} and so on`))).toBe(false)
  })
})

/** Each signature, with any bytes between its parts. */
const CONTAINERS: [bytes: string, contentType: string, extension: string][] = [
  ['OggS', 'audio/ogg', 'ogg'],
  ['fLaC', 'audio/flac', 'flac'],
  ['....ftypM4A', 'audio/mp4', 'm4a'],
  ['....ftyp', 'video/mp4', 'mp4'],
  ...['moov', 'mdat', 'wide', 'pnot'].map((box): [string, string, string] => [`....${box}`, 'video/quicktime', 'mov']),
  ['\x1a\x45\xdf\xa3', 'video/webm', 'webm'],
  ['FORM....AIF', 'audio/aiff', 'aiff'],
  ['caff\0', 'audio/x-caf', 'caf'],
  ['.snd\0', 'audio/basic', 'au'],
  ['#!AMR', 'audio/amr', 'amr'],
  ['#!SILK', 'audio/silk', 'silk'],
  ['.#!SILK', 'audio/silk', 'silk'],
  ['\x30\x26\xb2\x75\x8e\x66\xcf\x11', 'audio/x-ms-wma', 'wma'],
  ['FLV\x01', 'video/x-flv', 'flv'],
  ['RIFF....AVI ', 'video/x-msvideo', 'avi'],
  ['riff\x2e\x91\xcf\x11', 'audio/x-w64', 'w64'],
  ['wvpk', 'audio/wavpack', 'wv'],
  ['MAC ', 'audio/ape', 'ape'],
  ['MPCK', 'audio/x-musepack', 'mpc'],
  ['TTA1', 'audio/x-tta', 'tta'],
  ['ADIF', 'audio/aac', 'aac'],
  ['MThd\0\0\0\x06', 'audio/midi', 'mid'],
  ['\0\0\x01\xba', 'video/mpeg', 'mpg'],
  [['G', 'G', 'G', 'G'].join('.'.repeat(187)), 'video/mp2t', 'ts'],
]
const OTHERS: [bytes: string, what: string][] = [
  ['\x89PNG\r\n\x1a\n', 'an image (image/png)'],
  ['\xff\xd8\xff', 'an image (image/jpeg)'],
  ['GIF87a', 'an image (image/gif)'],
  ['GIF89a', 'an image (image/gif)'],
  ['RIFF....WEBP', 'an image (image/webp)'],
  ['II\x2a\0', 'an image (image/tiff)'],
  ['MM\0\x2a', 'an image (image/tiff)'],
  ['BM....\0\0\0\0..\0\0.\0\0\0', 'an image (image/bmp)'],
  ['\0\0\x01\0\x01\0............\x16\0\0\0', 'an image (image/x-icon)'],
  ...['heic', 'heix', 'avif', 'mif1'].map((brand): [string, string] => [`....ftyp${brand}`, 'an image (image/heif)']),
  ...['\x03\x04', '\x05\x06', '\x07\x08'].map((mark): [string, string] => [`PK${mark}`, 'an archive (application/zip)']),
  ['Rar!\x1a\x07', 'an archive (application/vnd.rar)'],
  ['7z\xbc\xaf\x27\x1c', 'an archive (application/x-7z-compressed)'],
  ['MSCF\0\0\0\0', 'an archive (application/vnd.ms-cab-compressed)'],
  ['#EXTM3U', 'a playlist'],
  ['!<arch>\n', 'an archive (application/x-archive)'],
  [`${'.'.repeat(257)}ustar`, 'an archive (application/x-tar)'],
]

describe('When a file starts with a signature, then it is recognized, but only if all bytes of the signature match:', () => {
  /** Copies of the signature, each with another byte changed. */
  const variants = (bytes: string) =>
    Array.from(bytes).flatMap((byte, at) => (byte === '.' && bytes !== '.snd\0' ? [] : [`${bytes.slice(0, at)}~${bytes.slice(at + 1)}`]))

  const expectOnly = (bytes: string, signature: Signature) => {
    expect(signatureOf(latin1(`${bytes} and so on`))).toEqual(signature)
    for (const other of variants(bytes)) expect(signatureOf(latin1(`${other} and so on`))).not.toEqual(signature)
  }

  test.each(CONTAINERS)('%j is %s', (bytes, contentType, extension) => {
    expectOnly(bytes, { kind: 'container', audio: { contentType, extension } })
  })

  test.each(OTHERS)('%j is %s', (bytes, what) => {
    expectOnly(bytes, { kind: 'other', what })
  })

  test('and audio of an accepted format has no signature', () => {
    for (const bytes of ['RIFF....WAVE', 'ID3\x04', '\xff\xfb\x90\x64', '']) expect(signatureOf(latin1(bytes))).toBeUndefined()
  })
})

test.each(['R', 'RIFF', 'RF64', 'BW64', 'ID3', 'ID', 'OggS', 'fLaC', 'FORM', 'FORM....AI', '\xff', '\xff\xe0', '\xff\xfb'])(
  'When a file has only the bytes %j, then they may be the start of audio',
  (bytes) => expect(isBeginningOfAudio(latin1(bytes))).toBe(true),
)
test.each(['X', 'RIFT', 'IE3', '\xfe\xe0', '\xff\xdf', 'fLAC'])('When a file has only the bytes %j, then they are not audio', (bytes) => {
  expect(isBeginningOfAudio(latin1(bytes))).toBe(false)
})

test('When bytes are compressed with gzip, then their start is decompressed, also if the end is missing', () => {
  const zipped = gzipSync('<html>'.repeat(1000))
  expect(isGzip(zipped)).toBe(true)
  expect(isGzip(Buffer.from('1f8b09', 'hex'))).toBe(false)
  expect(gunzipStart(zipped.subarray(0, -10)).toString()).toMatch(/^<html>/)
  expect(gunzipStart(Buffer.from('1f8b08ff', 'hex'))).toEqual(Buffer.alloc(0))
})

describe('When bytes may be text', () => {
  const check = (...pieces: (string | Buffer)[]) => {
    const text = new TextCheck()
    for (const piece of pieces) text.add(typeof piece === 'string' ? Buffer.from(piece) : piece)
    return text
  }

  test.each([
    ['<!DOCTYPE html>', 'an HTML page'],
    ['<html>', 'an HTML page'],
    ['\uFEFF \n<HEAD>', 'an HTML page'],
    ['<body>', 'an HTML page'],
    ['<?xml version="1.0"?>', 'an XML document'],
    ['<Error>', 'an XML document'],
    ['<!-- -->', 'an XML document'],
    ['{"a":1}', 'a JSON document'],
    ['[ true]', 'a JSON document'],
    ['[false]', 'a JSON document'],
    ['[null]', 'a JSON document'],
    ['[-1]', 'a JSON document'],
    ['[1]', 'a JSON document'],
    ['{}', 'a JSON document'],
    ['[[]]', 'a JSON document'],
    ['[ [ {"a":1}]]', 'a JSON document'],
    ['[{}]', 'a JSON document'],
    ['["a", "b"]', 'a JSON document'],
    ['{ "a b" : "c"', 'a JSON document'],
    ['[-1.5e+3, 2]', 'a JSON document'],
    ['<soap:Envelope xmlns="a"><a/>', 'an XML document'],
    ['<svg\n width="1">', 'an XML document'],
    ['<!DOCTYPE svg>', 'an XML document'],
    ['not <html>, not {"a":1}', 'plain text'],
    ['tab\tline\nform\ffeed\r', 'plain text'],
    ['för', 'plain text'],
    ['नहीं है', 'plain text'],
  ])('then %j is %s', (text, kind) => {
    expect(check(text).kind()).toBe(kind)
    expect(check(text.slice(0, 3), text.slice(3)).kind()).toBe(kind)
    expect(check(text).holdsData()).toBe(false)
  })

  test.each<[string, string | Buffer]>([
    ['a control character', 'text\x01text'],
    ['DEL', 'text\x7f'],
    ['a vertical tab', 'a\vb text'],
    ['bytes that are not UTF-8', latin1('caf\xe9 au lait')],
    ['one repeated character', 'UUUU'],
    ['no words', '12 34 <1'],
    ['a bracket without JSON', '{NO JSON'],
    ['two brackets without JSON', '[[UTWUU'],
    ['empty brackets before something else', '[]UTWUU'],
    ['an empty object before something else', '{}UTWUU'],
    ['numbers without an end', '[12UTWUU'],
    ['a tag without an end', '<UTWUU'],
    ['half a page', '<htmlUTWUU'],
    ['one character', 'x'],
    ['no bytes', ''],
  ])('then %s is not text', (_what, bytes) => {
    expect(check(bytes).kind()).toBeUndefined()
  })

  test('then it does not matter where the bytes are split into pieces', () => {
    const umlauts = Buffer.from('für')
    expect(check(umlauts.subarray(0, 2), umlauts.subarray(2)).kind()).toBe('plain text')
    expect(check('text', '\x01', 'text').kind()).toBeUndefined()
    expect(check(latin1('\xe9'), 'text').kind()).toBeUndefined()
    expect(check('<html>', '\x01').markup()).toBe('an HTML page')
    expect(check('<html>', '\x01').holdsData()).toBe(false)
    expect(check(' '.repeat(507), '<html>').kind()).toBe('an HTML page')
    expect(check(' '.repeat(508), '<html>').kind()).toBeUndefined()
  })

  test('then encoded data in the text may be audio', () => {
    const data = 'ab'.repeat(501)
    expect(check(data).holdsData()).toBe(true)
    for (const text of [data, `<html>${data}`, `{"a":"${data}"}`]) expect(check(text).kind()).toBeUndefined()
    expect(check(data, '\x01').holdsData()).toBe(false)
  })

  test.each<[string, BufferEncoding | 'be', string | undefined]>([
    ['\uFEFF<html>', 'utf16le', 'an HTML page'],
    ['\uFEFFNot found', 'utf16le', 'plain text'],
    ['\uFEFFNot found', 'be', 'plain text'],
    ['\uFEFFfür', 'utf16le', 'plain text'],
    ['\uFEFF{"a":1}', 'be', 'a JSON document'],
    ['\uFEFF漢字漢字', 'utf16le', undefined],
    [`\uFEFF${'not found '.repeat(500)}\x01`, 'utf16le', undefined],
    [`\uFEFF<html>${'not found '.repeat(500)}漢`, 'utf16le', undefined],
    ['Not found', 'utf16le', undefined],
  ])('then %j in UTF-16 (%s) is recognized as %s', (text, encoding, kind) => {
    const bytes = Buffer.from(text, 'utf16le')
    expect(check(encoding === 'be' ? bytes.swap16() : bytes).kind()).toBe(kind)
  })
})
