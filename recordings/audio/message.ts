// Recognizes the message of a server (a page, an error, a few words) where audio should be. A missed message means that truncated
// audio is stored as good; a false one means that good audio is quarantined. Padding, tags, UTF-16 and single control characters
// do not hide a message.
import { constants, inflateRawSync } from 'node:zlib'
import { withoutTags } from './tags.ts'

/** Beginnings and ends of a page or an error. Each has so many fixed characters that audio hardly ever contains it. */
const MARKUP = String.raw`<!doctype\b|<(?:html|head|body|title|error|message|response)\b|<\?xml\b|</[a-z][\w:.-]{2,40}>`
const JSON_MEMBER = String.raw`[{[]\s{0,20}"[\w .$-]{1,64}"\s{0,20}:\s{0,20}(?:["{[\d-]|true|false|null)`
const HTTP = String.raw`\bHTTP/\d(?:\.\d)? \d{3}\b`
const PHRASE = String.raw`\b(?:not found|bad (?:gateway|request)|access denied|forbidden|unauthori[sz]ed|(?:un)?available|time-?d?[ -]?out|too many requests|errors?|failure|upstream)\b`
const SIGN = new RegExp([MARKUP, JSON_MEMBER, HTTP, PHRASE].join('|'), 'giu')
/** Bytes of a message of which the beginning is not known, if nothing else is among them. */
const REST_OF_MESSAGE = /[<>{}[\]"].|.[<>{}[\]"]|[A-Za-z]{2}\s{1,20}[A-Za-z]{2}/s
/** Words are no message where a tag does not fit: they may be its content. */
const REST_OF_TAG = /APETAGEX|LYRICS(?:200|END)/
/** Words with blanks or punctuation between them, up to the end. */
const LAST_WORDS = /(?:\p{Lu}?\p{Ll}+[ ,.:;'"\r\n-]{1,3})+\p{Lu}?\p{Ll}+[.!?]?$/u
/** By chance, every tenth byte is a lower-case letter: so many in a row are words. */
const MIN_LETTERS = 12
const LAST_WORDS_CHARACTERS = 80

/** More than one character in so many that text does not have speaks against text. */
const CHARACTERS_PER_DEFECT = 10
const TEXT_CONTROLS = [9, 10, 12, 13] // tab, line feed, form feed, carriage return
/** Stands for bytes that are no UTF-8. */
const REPLACEMENT = 0xfffd
/** What follows a sign has to be text for so many characters. */
const MESSAGE_CHARACTERS = 100

const GZIP_MARK = Buffer.from('1f8b08', 'hex')
const GZIP_FLAGS_AT = 3
const GZIP_HAS_NAME = 8
const GZIP_HEADER_BYTES = 10
const GZIP_HEAD_BYTES = 4096
const MAX_INFLATED_BYTES = 16 * 1024 ** 2
const MAX_GZIP_MARKS = 16

/** For bytes that are certainly no audio: true where a message is among them. */
export function holdsMessage(bytes: Buffer): boolean {
  const content = withoutTags(bytes)
  const text = readable(content)
  const isRest =
    !REST_OF_TAG.test(content.toString('latin1')) && isReadable(text) && (REST_OF_MESSAGE.test(text) || signsIn(text).length > 0)
  return isRest || signsIn(text).some((at) => isReadable(text.slice(at, at + MESSAGE_CHARACTERS))) || holdsGzipMessage(bytes)
}

/** For bytes that may be audio throughout: true where they end with a message. */
export function endsWithMessage(bytes: Buffer): boolean {
  const text = readable(withoutTags(bytes))
  const start = startOfReadable(text)
  return signsIn(text).some((at) => at >= start) || endsWithWords(text) || holdsGzipMessage(bytes)
}

/** As UTF-8 without zeros, so that UTF-16 reads the same; without blanks and control characters at both ends. */
function readable(bytes: Buffer): string {
  const text = new TextDecoder().decode(bytes).replaceAll('\0', '')
  let [start, end] = [0, text.length]
  while (end > start && isPadding(text.charAt(end - 1))) end -= 1
  while (start < end && isPadding(text.charAt(start))) start += 1
  return text.slice(start, end)
}

/** A blank or a control character. */
function isPadding(character: string): boolean {
  return character <= ' ' || character === '\x7f'
}

function isReadable(text: string): boolean {
  return text !== '' && startOfReadable(text) === 0
}

/** Where the longest readable text begins that goes on to the end. */
function startOfReadable(text: string): number {
  let defects = 0
  let start = text.length
  for (let at = text.length - 1; at >= 0; at -= 1) {
    if (!isOfText(text.charCodeAt(at))) defects += 1
    if (defects * CHARACTERS_PER_DEFECT <= text.length - at) start = at
  }
  return start
}

function isOfText(code: number): boolean {
  return code >= 32 ? (code < 127 || code > 159) && code !== REPLACEMENT : TEXT_CONTROLS.includes(code)
}

function signsIn(text: string): number[] {
  return [...text.matchAll(SIGN)].map(({ index }) => index)
}

function endsWithWords(text: string): boolean {
  const words = LAST_WORDS.exec(text.slice(-LAST_WORDS_CHARACTERS))?.[0] ?? ''
  return words.replaceAll(/\P{L}/gu, '').length >= MIN_LETTERS
}

function holdsGzipMessage(bytes: Buffer): boolean {
  let at = bytes.indexOf(GZIP_MARK)
  for (let marks = 0; at !== -1 && marks < MAX_GZIP_MARKS; marks += 1) {
    const text = readable(inflated(bytes.subarray(at, at + GZIP_HEAD_BYTES)))
    if (isReadable(text) && signsIn(text).length > 0) return true
    at = bytes.indexOf(GZIP_MARK, at + 1)
  }
  return false
}

/** The content of a gzip file; bytes behind the file are ignored. Empty if it does not decompress. */
function inflated(gzip: Buffer): Buffer {
  const hasName = ((gzip[GZIP_FLAGS_AT] ?? 0) & GZIP_HAS_NAME) !== 0
  const start = hasName ? gzip.indexOf(0, GZIP_HEADER_BYTES) + 1 : GZIP_HEADER_BYTES
  try {
    return inflateRawSync(gzip.subarray(start), { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MAX_INFLATED_BYTES })
  } catch {
    return Buffer.alloc(0)
  }
}
