// Counts the words of a text, and recognizes data in it that is encoded as text (base64, numbers, escapes): it may be audio.

/** What stands between the pieces of text, markup, JSON and scripts; encoded data has only ends of lines and blanks of these. */
const BREAKS = /[\s"'<>{}();]+/
const WORD = /^\p{P}*\p{Lu}?[\p{Ll}\p{Lo}\p{M}]{1,30}\p{P}*$/u
const WITHOUT_VOWEL = /^\p{P}*[b-df-hj-np-tv-xz]+\p{P}*$/iu
const MIN_WORD_CHARACTERS = 3

/** No line of base64 is shorter, except the last one. */
const LONG_PIECE = 60
const NUMBERS = /^(?:[\d,.+-]+|(?:[\da-f]{2})+)$/i
const ESCAPES = /\\u00[\da-f]{2}.*\\u00[\da-f]{2}/i
/** More encoded data than this in a row may be audio. */
const MAX_ENCODED_CHARACTERS = 1000
/** In a data URL, `base64,` follows, perhaps behind a `charset=`. */
const MEDIA = /^data:(?:image|font|application\/(?:x-)?font)/

/** Takes text piece by piece, and keeps only the last, incomplete word. */
export class WordCount {
  #rest = ''
  #wordCharacters = 0
  #otherCharacters = 0
  #encoded = 0
  #longestEncoded = 0
  /** A picture or a font follows, encoded as base64. */
  #isMedia = false

  add(text: string): void {
    const pieces = (this.#rest + text).split(BREAKS)
    // The length of a piece that is longer does not matter.
    this.#rest = pieces.pop()!.slice(0, MAX_ENCODED_CHARACTERS + 1)
    for (const piece of pieces) this.#count(piece)
  }

  /** Most of the text is words. */
  areWords(): boolean {
    this.#countRest()
    return this.#wordCharacters >= MIN_WORD_CHARACTERS && this.#wordCharacters >= this.#otherCharacters
  }

  /** The text may hold audio. */
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
