// Secrets that protect nothing: placeholders, short ones, and those that programs guess early.
import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'

/** As a power of ten. A program that guesses has tried so many after weeks, even where each try is a request over the network. */
const MIN_GUESSES = 10
/** Shorter secrets cannot need as many guesses. Their estimate is less exact by so many powers of ten. */
const TOLERANCE = 2
/** Of longer ones only the beginning is judged, since the time grows faster than the length. */
const MAX_JUDGED = 64
/** So many characters besides the words of {@link WORDS} are a number or a short word, and no secret. */
const MAX_UNCHOSEN = 3

const PLACEHOLDER =
  /change-?(me|this|it)|replace-?(me|this)|placeholder|example|your-?(own-?)?(api|access|account|key|password|secret|sid|token)|insert-?your/
/** Templates and programs that were not run: `${X}`, `$(x)`, `#{x}`, `{{ x }}`, `<%= x %>`, `process.env.X`. */
const TEMPLATE = /[$#][{(].+[})]|\{\{.+\}\}|<%.+%>|\bprocess\.env\b|\bgetenv\b|\benviron\b/
/** The whole value is a name that something else should have replaced: `<x>`, `[x]`, `{x}`, `(x)`, `%X%`, `@x@`, `__X__`, `$X`. */
const MARKED_NAME = /^(<.+>|\[.+\]|\{.+\}|\(.+\)|%.+%|@.+@|__.+__|\$[A-Za-z_]\w*)$/
/** The whole value says where the secret is: `vault:path`, `op://vault/item`, `arn:aws:…`. Random hexadecimal and base64 have no colon. */
const REFERENCE = /^([a-z]{2,}[A-Za-z+]*:[\w./:#@-]+|@?[A-Za-z.]+\(.+\)|ENC\[.+\])$/
/** What a program makes of an empty variable: MD5, SHA-1 and SHA-256 of nothing. */
const HASHES_OF_NOTHING = new Set([
  'd41d8cd98f00b204e9800998ecf8427e',
  'da39a3ee5e6b4b0d3255bfef95601890afd80709',
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
])
const SETTING_NAME = /(exotel|wasabi|temporal|database|smtp)_(webhook|api|access|secret|account|url|recording|public)/i

/**
 * What people write in place of a secret, and what this service and its parts are called. Without plurals.
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
/** With the separators around them. An `s` belongs to a word where no letter follows: of `webhooksecret` it begins the next word. */
const WORDS_WITH_SEPARATORS = new RegExp(`[\\W_]*(?:${WORDS.join('|')})(?:s(?![a-z]))?[\\W_]*`, 'gi')
const LETTER_OF: Record<string, string> = { 0: 'o', 1: 'i', 3: 'e', 4: 'a', 5: 's', 7: 't', $: 's', '@': 'a' }

/** True for texts that stand for a value that nobody has set. */
export function isPlaceholder(text: string): boolean {
  const plain = text.toLowerCase().replaceAll(/[\s_.]+/g, '-')
  return (
    PLACEHOLDER.test(plain) ||
    HASHES_OF_NOTHING.has(plain) ||
    [TEMPLATE, MARKED_NAME, REFERENCE, SETTING_NAME].some((form) => form.test(text))
  )
}

/** True for a secret that nobody has chosen: a placeholder, or the words that people write in place of one. */
export function isUnchosen(secret: string): boolean {
  const rest = withoutWords(secret)
  return isPlaceholder(secret) || (rest !== secret && rest.length <= MAX_UNCHOSEN)
}

/** True for what is too short, and for sequences, keyboard patterns, repetitions, dates and well-known words of any length. */
export function isGuessable(secret: string, minLength: number): boolean {
  const judged = secret.slice(0, MAX_JUDGED)
  const needed = Math.min(MIN_GUESSES, minLength - TOLERANCE)
  return secret.length < minLength || [...new Set([judged, withoutWords(judged)])].some((each) => guessesFor(each) < needed)
}

/** Words are also recognized where digits and signs take the place of letters: `s3cr3t`. */
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
/** @returns how many guesses are needed, as a power of ten */
function guessesFor(secret: string): number {
  estimator ??= new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs })
  return estimator.check(secret).guessesLog10
}
