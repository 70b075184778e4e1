// Password rules of OWASP and NIST SP 800-63B: a minimum length, any characters, no common passwords, Argon2id.
import { hash, parseOptions, verify } from '@node-rs/argon2'
import { bulkhead, BulkheadRejectedError } from 'cockatiel'
import { AccountError } from './errors.ts'
import { readCommonPasswords } from './common-passwords.ts'

export const PASSWORD_MIN_LENGTH = 12
export const PASSWORD_MAX_LENGTH = 128
/** Maximum length of an input in UTF-16 units: 128 characters, each composed of several units. */
export const PASSWORD_MAX_INPUT = 1024

/** The package's `Algorithm.Argon2id`, which exists only as a type. */
const ARGON2ID = 2
/** OWASP's first choice below 20 MiB; about 50 ms on one core. After a change, each password is rehashed at its next login. */
const PARAMETERS = { algorithm: ARGON2ID, memoryCost: 19_456, timeCost: 2, parallelism: 1 }
const commonPasswords = readCommonPasswords(PASSWORD_MIN_LENGTH)
/** Each hash takes 19 MiB. More at the same time would block other work in the thread pool of libuv. */
const hashing = bulkhead(4, 64)

/** @returns why the password is rejected, or undefined. The length is counted in characters, not in bytes. */
export function passwordWeakness(password: string, email: string): string | undefined {
  if (password.length > PASSWORD_MAX_INPUT) return `must have at most ${PASSWORD_MAX_LENGTH} characters`
  const characters = Array.from(composed(password)).length
  if (characters < PASSWORD_MIN_LENGTH) return `must have at least ${PASSWORD_MIN_LENGTH} characters`
  if (characters > PASSWORD_MAX_LENGTH) return `must have at most ${PASSWORD_MAX_LENGTH} characters`
  if (!password.isWellFormed()) return 'must be valid Unicode'
  const lower = password.toLowerCase()
  if (lower === email.toLowerCase()) return 'must not be the email address'
  if (commonPasswords.has(lower)) return 'is one of the most common passwords'
  return undefined
}

export function hashPassword(password: string): Promise<string> {
  return busyAware(() => hash(composed(password), PARAMETERS))
}

/**
 * @param stored undefined if there is no such account; the verification takes the same time
 * @returns `needsRehash` is true if the hash was created with other parameters than the current ones
 */
export async function verifyPassword(stored: string | undefined, password: string): Promise<{ isCorrect: boolean; needsRehash: boolean }> {
  const against = stored ?? (await placeholderHash())
  const matches = await busyAware(() => verify(against, composed(password)))
  return { isCorrect: matches && stored !== undefined, needsRehash: isStale(against) }
}

let placeholder: Promise<string> | undefined
function placeholderHash(): Promise<string> {
  placeholder ??= hash('', PARAMETERS)
  placeholder.catch(() => (placeholder = undefined))
  return placeholder
}

export function isSamePassword(one: string, other: string): boolean {
  return composed(one) === composed(other)
}

/**
 * Normalizes the password, so that the same characters typed on different keyboards are equal (NIST SP 800-63B). The time of this
 * grows with the square of the length, so an input that is too long for a password is returned unchanged.
 */
function composed(password: string): string {
  return password.length > PASSWORD_MAX_INPUT ? password : password.normalize('NFC')
}

function isStale(stored: string): boolean {
  const used = parseOptions(stored)
  return Object.entries(PARAMETERS).some(([name, value]) => used[name as keyof typeof PARAMETERS] !== value)
}

async function busyAware<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await hashing.execute(work)
  } catch (error) {
    if (error instanceof BulkheadRejectedError)
      throw new AccountError('busy', 'Too many passwords are being checked: try again', { retryAfterSeconds: 2 })
    throw error
  }
}
