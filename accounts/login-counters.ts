// The keys of the counters that slow down guesses of an account's password, and how they are forgotten.
import { createHash } from 'node:crypto'
import type { Queryable } from '../platform/database.ts'

export const FAILURES = 'failures'
export const PAUSES = 'pause'

export interface Login {
  /** The address in its stored form. */
  account: string
  /** The client's address. */
  source: string
}

/** Over all sources. Addresses of people stay out of the table. */
export function accountKey(account: string): string {
  return hashed(account)
}

/** Begins with the key of the account, so that all sources of an account can be found. */
export function sourceKey({ account, source }: Login): string {
  return `${accountKey(account)}:${hashed(`${account} ${source}`)}`
}

export function secretKey(secret: string): string {
  return hashed(secret)
}

/** Whoever has set a new password, or got one, can log in at once from every client address. */
export async function forgetLoginFailures(database: Queryable, account: string): Promise<void> {
  const key = accountKey(account)
  // The column has the collation "C", in which ";" follows ":".
  await database.$executeRaw`
    DELETE FROM rate_limits
    WHERE (key >= ${`${FAILURES}:${key}`} AND key < ${`${FAILURES}:${key};`})
       OR (key >= ${`${PAUSES}:${key}`} AND key < ${`${PAUSES}:${key};`})`
}

function hashed(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}
