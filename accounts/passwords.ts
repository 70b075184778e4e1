// Passwords as OWASP's and NIST's guides want them: long, any characters, none that everybody uses, Argon2id.
import { hash, parseOptions, verify } from '@node-rs/argon2'
import { bulkhead, BulkheadRejectedError } from 'cockatiel'
import { AccountError } from './errors.ts'
import { readCommonPasswords } from './common-passwords.ts'

export const PASSWORD_MIN_LENGTH = 12
export const PASSWORD_MAX_LENGTH = 128
/** UTF-16 units of what is read at all: 128 characters of which each is composed of several. */
export const PASSWORD_MAX_INPUT = 1024

/** The package's `Algorithm.Argon2id`, which exists only as a type. */
const ARGON2ID = 2
/** OWASP's first choice of those below 20 MiB; about 50 ms on one core. A change rehashes each password at its next login. */
const PARAMETERS = { algorithm: ARGON2ID, memoryCost: 19_456, timeCost: 2, parallelism: 1 }
const commonPasswords = readCommonPasswords(PASSWORD_MIN_LENGTH)
/** 19 MiB each: more at once would starve the event loop's thread pool. */
const hashing = bulkhead(4, 64)

/** @returns why the password is refused, or undefined; length is counted in characters, not in bytes */
export function passwordWeakness(password: string, email: string): string | undefined {
  if (password.length > PASSWORD_MAX_INPUT) return `must have at most ${PASSWORD_MAX_LENGTH} characters`
  const characters = Array.from(composed(password)).length
  if (characters < PASSWORD_MIN_LENGTH) return `must have at least ${PASSWORD_MIN_LENGTH} characters`
  if (characters > PASSWORD_MAX_LENGTH) return `must have at most ${PASSWORD_MAX_LENGTH} characters`
  if (!password.isWellFormed()) return 'must be valid Unicode'
  const lower = password.toLowerCase()
  if (lower === email.toLowerCase()) return 'must not be the e-mail address'
  if (commonPasswords.has(lower)) return 'is one of those that everybody tries first'
  return undefined
}

export function hashPassword(password: string): Promise<string> {
  return busyAware(() => hash(composed(password), PARAMETERS))
}

/**
 * @param stored undefined where there is no such account: takes as long all the same
 * @returns stale: the hash was made with other parameters than today's
 */
export async function verifyPassword(stored: string | undefined, password: string): Promise<{ right: boolean; stale: boolean }> {
  const against = stored ?? (await nobodysHash())
  const matches = await busyAware(() => verify(against, composed(password)))
  return { right: matches && stored !== undefined, stale: isStale(against) }
}

let nobody: Promise<string> | undefined
function nobodysHash(): Promise<string> {
  nobody ??= hash('', PARAMETERS)
  nobody.catch(() => (nobody = undefined))
  return nobody
}

export function isSamePassword(one: string, other: string): boolean {
  return composed(one) === composed(other)
}

/**
 * One spelling of what looks the same, whichever keyboard typed it (NIST SP 800-63B). The time this takes grows with the square of
 * the length, so what is longer than any password stays as it is.
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
