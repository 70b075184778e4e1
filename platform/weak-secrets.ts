// Secrets that protect nothing: placeholders, short ones, and repetitions of a few characters.

/** Fewer different characters than any random secret of 8 or more characters has. */
const MIN_DIFFERENT_CHARACTERS = 5
const PLACEHOLDER =
  /change-?(me|this|it)|replace-?(me|this)|placeholder|example|your-?(own-?)?(api|access|account|key|password|secret|sid|token)|insert-?your/
const WELL_KNOWN =
  /^(caly|my|the|test|super|default)*-?(admin|key|minioadmin|pass|password|passwort|passwd|postgres|root|secret|test|token)+\d*$/

/** True for texts that stand for a value that nobody has set. */
export function isPlaceholder(text: string): boolean {
  const plain = text.toLowerCase().replaceAll(/[\s_.]+/g, '-')
  return PLACEHOLDER.test(plain) || WELL_KNOWN.test(plain.replaceAll('-', ''))
}

/** True for what is guessed quickly. */
export function isGuessable(secret: string, minLength: number): boolean {
  return secret.length < minLength || new Set(secret).size < MIN_DIFFERENT_CHARACTERS
}
