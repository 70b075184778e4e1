// Counts the words of a text, and recognizes data that is encoded as text (base64, numbers, escapes), which may be audio.

/** Characters between the pieces of text, markup, JSON and scripts. Of these, encoded data has only line ends and blanks. */
const BREAKS = /[\s"'<>{}();]+/
const WORD = /^\p{P}*\p{Lu}?[\p{Ll}\p{Lo}\p{M}]{1,30}\p{P}*$/u
const WITHOUT_VOWEL = /^\p{P}*[b-df-hj-np-tv-xz]+\p{P}*$/iu
const MIN_WORD_CHARACTERS = 3

/** A line of base64 is not shorter, except the last line. */
const LONG_PIECE = 60
const NUMBERS = /^(?:[\d,.+-]+|(?:[\da-f]{2})+)$/i
const ESCAPES = /\\u00[\da-f]{2}.*\\u00[\da-f]{2}/i
/** More encoded data than this in a row may be audio. */
const MAX_ENCODED_CHARACTERS = 1000
/** The start of a data URL of a picture or a font. `base64,` follows, with or without a `charset=` before it. */
const MEDIA = /^data:(?:image|font|application\/(?:x-)?font)/

/** Receives text piece by piece. Keeps only the last, incomplete word. */
export class WordCount {
  #rest = ''
  #wordCharacters = 0
  #otherCharacters = 0
  #encoded = 0
  #longestEncoded = 0
  /** A picture or a font in base64 follows. */
  #isMedia = false

  add(text: string): void {
    const pieces = (this.#rest + text).split(BREAKS)
    // If a piece is longer than the limit, its exact length does not matter.
    this.#rest = pieces.pop()!.slice(0, MAX_ENCODED_CHARACTERS + 1)
    for (const piece of pieces) this.#count(piece)
  }

  /** True if most of the text consists of words. */
  areWords(): boolean {
    this.#countRest()
    return this.#wordCharacters >= MIN_WORD_CHARACTERS && this.#wordCharacters >= this.#otherCharacters
  }

  /** True if the text may contain audio. */
  holdData(): boolean {
    this.#countRest()
    return this.#longestEncoded > MAX_ENCODED_CHARACTERS
  }

  #countRest(): void {
    this.#count(this.#rest)
    this.#rest = ''
  }

  #count(piece: string): void {
    if (piece === '') return
    if (WORD.test(piece) && !WITHOUT_VOWEL.test(piece)) this.#wordCharacters += piece.length
    else this.#otherCharacters += piece.length
    const isPicture = this.#isMedia && piece.startsWith('base64,')
    this.#encoded = !isPicture && isEncoded(piece) ? this.#encoded + piece.length : 0
    this.#longestEncoded = Math.max(this.#longestEncoded, this.#encoded)
    this.#isMedia = MEDIA.test(piece) || (this.#isMedia && piece.startsWith('charset='))
  }
}

function isEncoded(piece: string): boolean {
  return piece.length >= LONG_PIECE || NUMBERS.test(piece) || ESCAPES.test(piece)
}
