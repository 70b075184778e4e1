// Secrets that protect nothing: placeholders, short ones, and those that programs guess early.
import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'

/** As a power of ten. A program that guesses has tried so many after weeks, even where each try is a request over the network. */
const MIN_GUESSES = 10
/** Shorter secrets cannot need as many guesses. Their estimate is less exact by so many powers of ten. */
const TOLERANCE = 2
/** Of longer ones only the beginning is judged, since the time grows faster than the length. */
const MAX_JUDGED = 64

const PLACEHOLDER =
  /change-?(me|this|it)|replace-?(me|this)|placeholder|example|your-?(own-?)?(api|access|account|key|password|secret|sid|token)|insert-?your/
const WELL_KNOWN =
  /^(caly|my|the|test|super|default)*-?(admin|key|minioadmin|pass|password|passwort|passwd|postgres|root|secret|test|token)+\d*$/

/** True for texts that stand for a value that nobody has set. */
export function isPlaceholder(text: string): boolean {
  const plain = text.toLowerCase().replaceAll(/[\s_.]+/g, '-')
  return PLACEHOLDER.test(plain) || WELL_KNOWN.test(plain.replaceAll('-', ''))
}

/** True for what is too short, and for sequences, keyboard patterns, repetitions, dates and well-known passwords of any length. */
export function isGuessable(secret: string, minLength: number): boolean {
  return secret.length < minLength || guessesFor(secret.slice(0, MAX_JUDGED)) < Math.min(MIN_GUESSES, minLength - TOLERANCE)
}

let estimator: ZxcvbnFactory | undefined
/** @returns how many guesses are needed, as a power of ten */
function guessesFor(secret: string): number {
  estimator ??= new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs })
  return estimator.check(secret).guessesLog10
}
