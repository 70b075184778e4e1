// Recognizes text. One byte that does not occur in text is enough to reject it, so audio is not mistaken for text.
import { WordCount } from './words.ts'

const SAMPLE_CHARACTERS = 512
/** Control characters except tab, line feed, form feed and carriage return. */
const CONTROL = /[^\P{Cc}\t\n\f\r\u0080-\u009F]/u
/** The decoder returns this character for bytes that are invalid in the encoding. */
const REPLACEMENT = '\uFFFD'
/** Characters that are not expected in UTF-16. In 16-bit samples they are frequent: most values are characters of other scripts. */
const NOT_LATIN = /[^\t\n\f\r -~\u00A0-\u024F]/

export type TextKind = 'an HTML page' | 'an XML document' | 'a JSON document' | 'plain text'

/** Receives bytes piece by piece. Keeps only the start of the text. */
export class TextCheck {
  #start = ''
  #isText = true
  /** All bytes are valid in the encoding. */
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

  /** Returns the kind of text, or undefined if the bytes may be something else. */
  kind(): TextKind | undefined {
    if (!this.#isText || this.#words.holdData()) return undefined
    return this.markup() ?? (this.#isValid && this.#words.areWords() ? 'plain text' : undefined)
  }

  /** Returns the kind of markup by the start of the text alone. */
  markup(): TextKind | undefined {
    return markupKind(this.#start)
  }

  /** True if the text contains encoded data, which may be audio. */
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

/** Determines the encoding by the byte order mark. */
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

/** True if the text starts with the first member of an object or the first item of a list, or is an empty object or list. */
function isJson(start: string): boolean {
  const object = /^[\s[]*\{\s*(?:"[^"]*"\s*:|\}[\s\]]*$)/
  const list = /^\[[\s[]*(?:(?:"[^"]*"|-?\d[\d.eE+-]*|true|false|null)\s*[,\]]|[\s\]]+$)/
  return object.test(start) || list.test(start)
}
