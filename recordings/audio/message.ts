// Recognizes the message of a server (a page, an error, a few words) in place of audio. If a message is not recognized, truncated
// audio is stored as good. If audio is mistaken for a message, good audio is quarantined. Messages are also recognized with padding,
// with tags, in UTF-16, and with single control characters.
import { constants, inflateRawSync } from 'node:zlib'
import { GZIP_SIGNATURE } from './signatures.ts'
import { withoutTags } from './tags.ts'

/** Parts of a page or an error. Each has so many fixed characters that audio almost never contains it by chance. */
const MARKUP = String.raw`<!doctype\b|<(?:html|head|body|title|error|message|response)\b|<\?xml\b|</[a-z][\w:.-]{2,40}>`
const JSON_MEMBER = String.raw`[{[]\s{0,20}"[\w .$-]{1,64}"\s{0,20}:\s{0,20}(?:["{[\d-]|true|false|null)`
const HTTP = String.raw`\bHTTP/\d(?:\.\d)? \d{3}\b`
const PHRASE = String.raw`\b(?:not found|bad (?:gateway|request)|access denied|forbidden|unauthori[sz]ed|(?:un)?available|time-?d?[ -]?out|too many requests|errors?|failure|upstream)\b`
const SIGN = new RegExp([MARKUP, JSON_MEMBER, HTTP, PHRASE].join('|'), 'giu')
/** Matches the rest of a message whose start is missing, if all bytes are text. */
const REST_OF_MESSAGE = /[<>{}[\]"].|.[<>{}[\]"]|[A-Za-z]{2}\s{1,20}[A-Za-z]{2}/s
/** If these bytes are part of a damaged tag, words may be the content of the tag, not a message. */
const REST_OF_TAG = /APETAGEX|LYRICS(?:200|END)/
/** Words that are separated by blanks or punctuation, up to the end. */
const LAST_WORDS = /(?:\p{Lu}?\p{Ll}+[ ,.:;'"\r\n-]{1,3})+\p{Lu}?\p{Ll}+[.!?]?$/u
/** In random data, every tenth byte is a lower-case letter, so this many letters in a row are words. */
const MIN_LETTERS = 12
const LAST_WORDS_CHARACTERS = 80

/** If more than one in this many characters does not occur in text, the bytes are not text. */
const CHARACTERS_PER_DEFECT = 10
const TEXT_CONTROLS = [9, 10, 12, 13] // tab, line feed, form feed, carriage return
/** The decoder returns this character for bytes that are not UTF-8. */
const REPLACEMENT = 0xfffd
/** A sign counts only if this many characters from its start are text. */
const MESSAGE_CHARACTERS = 100

const GZIP_FLAGS_AT = 3
const GZIP_HAS_NAME = 8
const GZIP_HEADER_BYTES = 10
const GZIP_HEAD_BYTES = 4096
const MAX_INFLATED_BYTES = 16 * 1024 ** 2
const MAX_GZIP_SIGNATURES = 16

/** For bytes that are certainly not audio: returns true if they contain a message. */
export function holdsMessage(bytes: Buffer): boolean {
  const content = withoutTags(bytes)
  const text = readable(content)
  const isRest =
    !REST_OF_TAG.test(content.toString('latin1')) && isReadable(text) && (REST_OF_MESSAGE.test(text) || signsIn(text).length > 0)
  return isRest || signsIn(text).some((at) => isReadable(text.slice(at, at + MESSAGE_CHARACTERS))) || holdsGzipMessage(bytes)
}

/** For bytes that may all be audio: returns true if they end with a message. */
export function endsWithMessage(bytes: Buffer): boolean {
  const text = readable(withoutTags(bytes))
  const start = startOfReadable(text)
  return signsIn(text).some((at) => at >= start) || endsWithWords(text) || holdsGzipMessage(bytes)
}

/** Decodes the bytes as UTF-8 without zeros, so that UTF-16 gives the same text. Trims blanks and control characters at both ends. */
function readable(bytes: Buffer): string {
  const text = new TextDecoder().decode(bytes).replaceAll('\0', '')
  let [start, end] = [0, text.length]
  while (end > start && isPadding(text.charAt(end - 1))) end -= 1
  while (start < end && isPadding(text.charAt(start))) start += 1
  return text.slice(start, end)
}

/** True for a blank or a control character. */
function isPadding(character: string): boolean {
  return character <= ' ' || character === '\x7f'
}

function isReadable(text: string): boolean {
  return text !== '' && startOfReadable(text) === 0
}

/** The start of the longest readable text that extends to the end. */
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
  let at = bytes.indexOf(GZIP_SIGNATURE)
  for (let found = 0; at !== -1 && found < MAX_GZIP_SIGNATURES; found += 1) {
    const text = readable(inflated(bytes.subarray(at, at + GZIP_HEAD_BYTES)))
    if (isReadable(text) && signsIn(text).length > 0) return true
    at = bytes.indexOf(GZIP_SIGNATURE, at + 1)
  }
  return false
}

/** The content of a gzip file. Bytes after the gzip data are ignored. Empty if the data cannot be decompressed. */
function inflated(gzip: Buffer): Buffer {
  const hasName = ((gzip[GZIP_FLAGS_AT] ?? 0) & GZIP_HAS_NAME) !== 0
  const start = hasName ? gzip.indexOf(0, GZIP_HEADER_BYTES) + 1 : GZIP_HEADER_BYTES
  try {
    return inflateRawSync(gzip.subarray(start), { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MAX_INFLATED_BYTES })
  } catch {
    return Buffer.alloc(0)
  }
}
