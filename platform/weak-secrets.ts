// Detects weak secrets: placeholders, short secrets, and those that password-guessing programs try early.
import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'

/** As a power of ten. A guessing program makes so many guesses within weeks, even if each guess is a request over the network. */
const MIN_GUESSES = 10
/** As a power of ten. A short secret has fewer possible values, and its estimate may be too low by this much. */
const TOLERANCE = 2
/** Only the beginning of a longer secret is judged, because the time of the estimate grows faster than the length. */
const MAX_JUDGED = 64
/** If no more characters remain without the words of {@link WORDS}, they are a number or a short word, not a secret. */
const MAX_UNCHOSEN = 3

const PLACEHOLDER =
  /change-?(me|this|it)|replace-?(me|this)|placeholder|example|your-?(own-?)?(api|access|account|key|password|secret|sid|token)|insert-?your/
/** Templates and expressions that were not evaluated: `${X}`, `$(x)`, `#{x}`, `{{ x }}`, `<%= x %>`, `process.env.X`. */
const TEMPLATE = /[$#][{(].+[})]|\{\{.+\}\}|<%.+%>|\bprocess\.env\b|\bgetenv\b|\benviron\b/
/** The whole value is a placeholder that should have been replaced: `<x>`, `[x]`, `{x}`, `(x)`, `%X%`, `@x@`, `__X__`, `$X`. */
const MARKED_NAME = /^(<.+>|\[.+\]|\{.+\}|\(.+\)|%.+%|@.+@|__.+__|\$[A-Za-z_]\w*)$/
/** The whole value is a reference to the secret: `vault:path`, `op://vault/item`, `arn:aws:…`. Random hexadecimal and base64 contain no colon. */
const REFERENCE = /^([a-z]{2,}[A-Za-z+]*:[\w./:#@-]+|@?[A-Za-z.]+\(.+\)|ENC\[.+\])$/
/** MD5, SHA-1 and SHA-256 of an empty text, which result from an empty variable. */
const HASHES_OF_NOTHING = new Set([
  'd41d8cd98f00b204e9800998ecf8427e',
  'da39a3ee5e6b4b0d3255bfef95601890afd80709',
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
])
const SETTING_NAME = /(exotel|wasabi|temporal|database|smtp)_(webhook|api|access|secret|account|url|recording|public)/i

/**
 * Words that people write instead of a secret, and names of this service and its parts. Without plurals.
 */
const WORDS = `access account admin api app application auth aws backend bar baz bearer bucket call caly change client company config
  credential data database default demo determined dev development dummy enter env environment example exotel fake fill filled foo for from
  generate generated given here hook host insecure insert key later latest local login mail manager minio name need needed new none
  not null only owner pass passphrase passwd password passwort please pls postgres private prod production project public quux
  qux random real recording redacted replace root run sample secret secure server service set should sid smtp some something stage
  staging string super tbd temp temporal temporary test testing that the this todo token undefined unknown unsafe user value vault
  version wasabi webhook with word write your`
  .split(/\s+/)
  .toSorted((a, b) => b.length - a.length)
/** Words with the separators around them. An `s` belongs to a word if no letter follows: in `webhooksecret` it starts the next word. */
const WORDS_WITH_SEPARATORS = new RegExp(`[\\W_]*(?:${WORDS.join('|')})(?:s(?![a-z]))?[\\W_]*`, 'gi')
const LETTER_OF: Record<string, string> = { 0: 'o', 1: 'i', 3: 'e', 4: 'a', 5: 's', 7: 't', $: 's', '@': 'a' }

/** True for a placeholder of a value that was not set. */
export function isPlaceholder(text: string): boolean {
  const plain = text.toLowerCase().replaceAll(/[\s_.]+/g, '-')
  return (
    PLACEHOLDER.test(plain) ||
    HASHES_OF_NOTHING.has(plain) ||
    [TEMPLATE, MARKED_NAME, REFERENCE, SETTING_NAME].some((form) => form.test(text))
  )
}

/** True for a secret that nobody has chosen: a placeholder, or words that people write instead of a secret. */
export function isUnchosen(secret: string): boolean {
  const rest = withoutWords(secret)
  return isPlaceholder(secret) || (rest !== secret && rest.length <= MAX_UNCHOSEN)
}

/** True for short secrets, and for sequences, keyboard patterns, repetitions, dates and well-known words of any length. */
export function isGuessable(secret: string, minLength: number): boolean {
  const judged = secret.slice(0, MAX_JUDGED)
  const needed = Math.min(MIN_GUESSES, minLength - TOLERANCE)
  return secret.length < minLength || [...new Set([judged, withoutWords(judged)])].some((each) => guessesFor(each) < needed)
}

/** Removes WORDS, also if digits and signs replace letters: `s3cr3t`. */
function withoutWords(secret: string): string {
  const spelled = secret.replaceAll(/[0134578$@]/g, (sign) => LETTER_OF[sign] ?? sign)
  let rest = ''
  let end = 0
  for (const { index, 0: found } of spelled.matchAll(WORDS_WITH_SEPARATORS)) {
    rest += secret.slice(end, index)
    end = index + found.length
  }
  return rest + secret.slice(end)
}

let estimator: ZxcvbnFactory | undefined
/** @returns the estimated number of guesses, as a power of ten */
function guessesFor(secret: string): number {
  estimator ??= new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs })
  return estimator.check(secret).guessesLog10
}
