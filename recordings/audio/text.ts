// Is it text? Any byte that text does not have speaks against it, so that audio is never mistaken for a message.
import { WordCount } from './words.ts'

const SAMPLE_CHARACTERS = 512
/** Control characters except tab, line feed, form feed and carriage return. */
const CONTROL = /[^\P{Cc}\t\n\f\r\u0080-\u009F]/u
/** Stands for bytes that do not belong to the encoding. */
const REPLACEMENT = '\uFFFD'
/** What is not expected in UTF-16: as samples of 16 bits, other letters are as likely as these are not. */
const NOT_LATIN = /[^\t\n\f\r -~\u00A0-\u024F]/

export type TextKind = 'an HTML page' | 'an XML document' | 'a JSON document' | 'plain text'

/** Takes bytes piece by piece and keeps only their beginning. */
export class TextCheck {
  #start = ''
  #isText = true
  /** All bytes belong to the encoding. */
  #isValid = true
  #encoding: string | undefined
  #decoder = new TextDecoder()
  readonly #words = new WordCount()

  add(bytes: Buffer): void {
    if (!this.#isText && this.#start.length >= SAMPLE_CHARACTERS) return
    const text = this.#decode(bytes)
    this.#start += text.slice(0, SAMPLE_CHARACTERS - this.#start.length)
    this.#isText &&= !CONTROL.test(text) && (this.#encoding === 'utf-8' || !NOT_LATIN.test(text))
    this.#isValid &&= !text.includes(REPLACEMENT)
    if (this.#isText) this.#words.add(text)
  }

  /** What the text is; undefined where the bytes may be something else. */
  kind(): TextKind | undefined {
    if (!this.#isText || this.#words.holdData()) return undefined
    return this.markup() ?? (this.#isValid && this.#words.areWords() ? 'plain text' : undefined)
  }

  /** What the beginning looks like, whatever follows it. */
  markup(): TextKind | undefined {
    return markupKind(this.#start)
  }

  /** Text that may hold audio, encoded as characters. */
  holdsData(): boolean {
    return this.#isText && this.#words.holdData()
  }

  #decode(bytes: Buffer): string {
    if (this.#encoding === undefined) {
      this.#encoding = encodingOf(bytes)
      this.#decoder = new TextDecoder(this.#encoding)
    }
    return this.#decoder.decode(bytes, { stream: true })
  }
}

/** By the byte order mark. */
function encodingOf(bytes: Buffer): string {
  const mark = bytes.toString('latin1', 0, 2)
  return mark === '\xff\xfe' ? 'utf-16le' : mark === '\xfe\xff' ? 'utf-16be' : 'utf-8'
}

function markupKind(text: string): TextKind | undefined {
  const start = text.trimStart()
  if (/^<(?:!doctype html|html|head|body)\b/i.test(start)) return 'an HTML page'
  if (/^<(?:\?xml\b|!--|!doctype\b|[a-z][\w:.-]*(?:\s[^<>]*)?>)/i.test(start)) return 'an XML document'
  return isJson(start) ? 'a JSON document' : undefined
}

/** A member of an object or an item of a list, or nothing at all between brackets. */
function isJson(start: string): boolean {
  const object = /^[\s[]*\{\s*(?:"[^"]*"\s*:|\}[\s\]]*$)/
  const list = /^\[[\s[]*(?:(?:"[^"]*"|-?\d[\d.eE+-]*|true|false|null)\s*[,\]]|[\s\]]+$)/
  return object.test(start) || list.test(start)
}
