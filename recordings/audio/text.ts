// Is it text? Any byte that text does not have speaks against it, so that audio is never mistaken for a message.

import { TextDecoder } from 'node:util'

/** Control characters, except tab, line feed, form feed and carriage return. */
const IS_CONTROL = Uint8Array.from({ length: 256 }, (_, byte) => Number(byte === 127 || (byte < 32 && ![9, 10, 12, 13].includes(byte))))
const SAMPLE_BYTES = 512
/** Encoded binary data (base64) has no blanks. */
const MAX_WORD_BYTES = 1000

/** Takes bytes piece by piece and keeps only their beginning. */
export class TextCheck {
  #start = ''
  #hasControl = false
  #longestWord = 0
  #word = 0
  #utf8: TextDecoder | undefined = new TextDecoder('utf-8', { fatal: true })

  add(bytes: Buffer): void {
    if (this.#start.length < SAMPLE_BYTES) this.#start += bytes.toString('latin1', 0, SAMPLE_BYTES - this.#start.length)
    if (this.#hasControl) return
    for (const byte of bytes) {
      if (IS_CONTROL[byte] === 1) {
        this.#hasControl = true
        return
      }
      this.#word = byte <= 32 ? 0 : this.#word + 1
      if (this.#word > this.#longestWord) this.#longestWord = this.#word
    }
    this.#checkUtf8(bytes)
  }

  /** What the text is; undefined where the bytes may be something else. */
  kind(): TextKind | undefined {
    if (this.#hasControl) return undefined
    const isPlain = this.#utf8 !== undefined && this.#longestWord <= MAX_WORD_BYTES && !isOneCharacter(this.#start)
    return this.markup() ?? (isPlain ? 'plain text' : undefined)
  }

  /** What the beginning looks like, whatever follows it. */
  markup(): TextKind | undefined {
    return markupKind(this.#start)
  }

  #checkUtf8(bytes: Buffer): void {
    try {
      this.#utf8?.decode(bytes, { stream: true })
    } catch {
      this.#utf8 = undefined
    }
  }
}

export type TextKind = 'an HTML page' | 'an XML document' | 'a JSON document' | 'plain text'

/** UTF-16 has a mark at its beginning, and a zero byte in most characters. */
export function utf16Kind(head: Buffer): TextKind | undefined {
  const mark = head.toString('latin1', 0, 2)
  if ((mark !== '\xff\xfe' && mark !== '\xfe\xff') || head.length < 8) return undefined
  const text = new TextDecoder(mark === '\xff\xfe' ? 'utf-16le' : 'utf-16be').decode(head.subarray(0, head.length & ~1))
  const isText = /^[\t\n\f\r -\u024F]*$/.test(text.replace(/^\uFEFF/, ''))
  return isText ? (markupKind(text) ?? 'plain text') : undefined
}

/** Silence in A-law is the letter U. */
function isOneCharacter(text: string): boolean {
  return text.length > 1 && text === text.charAt(0).repeat(text.length)
}

function markupKind(text: string): TextKind | undefined {
  const start = text
    .replace(/^(\uFEFF|\u00EF\u00BB\u00BF)/, '')
    .trimStart()
    .toLowerCase()
  if (/^(<!doctype html|<html|<head|<body)/.test(start)) return 'an HTML page'
  if (/^<(\?xml|[a-z!])/.test(start)) return 'an XML document'
  return /^[{[]\s*(["{[\]}\d-]|true|false|null)/.test(start) ? 'a JSON document' : undefined
}
