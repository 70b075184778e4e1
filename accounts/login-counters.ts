// The keys of the counters that slow down password guessing, and the deletion of these counters.
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

/** For counts over all sources. The key is a hash, so that the table contains no email addresses. */
export function accountKey(account: string): string {
  return hashed(account)
}

/** Starts with the key of the account, so that the counters of all sources of an account can be found by this prefix. */
export function sourceKey({ account, source }: Login): string {
  return `${accountKey(account)}:${hashed(`${account} ${source}`)}`
}

export function secretKey(secret: string): string {
  return hashed(secret)
}

/** Deletes the counters of an account. After a new password was set, login works at once from every client address. */
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
