// What accounts leave behind. In batches that skip what somebody holds, so that it disturbs nobody and may run twice at once.
import { randomBytes } from 'node:crypto'
import { Prisma, type Queryable } from '../platform/database.ts'
import { INVITATION_DAYS } from './signing-keys.ts'

/** Table, key and condition of the rows that are good for nothing any more. Limits count mails for up to a day. */
const EXPIRED = {
  sessions: ['sessions', 'id', 'refresh_expires_at < now()'],
  resetTokens: ['password_reset_tokens', 'id', 'expires_at < now()'],
  blacklist: ['refresh_token_blacklist', 'id', 'expires_at < now()'],
  mails: ['account_mails', 'id', "created_at < now() - interval '2 days'"],
  unverifiedAccounts: [
    'users',
    'id',
    "verified_at IS NULL AND created_at < now() - interval '7 days' AND COALESCE(registered_again_at, created_at) < now() - interval '7 days'",
  ],
  rateLimits: ['rate_limits', 'key', 'expire < (extract(epoch FROM now()) * 1000)::bigint'],
} as const

const SIGNING_KEY_DAYS = 30

/** @returns how many rows went; fewer than `limit`: no more are left that nobody holds */
export function deleteExpired(database: Queryable, what: keyof typeof EXPIRED, limit: number): Promise<number> {
  const [table, key, condition] = EXPIRED[what].map((text) => Prisma.raw(text))
  return database.$executeRaw`
    DELETE FROM ${table!} WHERE ${key!} IN (SELECT ${key!} FROM ${table!} WHERE ${condition!} LIMIT ${limit} FOR UPDATE SKIP LOCKED)`
}

/**
 * A new key each month, where there is any at all. An old one goes once nothing that it has signed can be valid: its replacement is
 * older than sessions and invitations can be. The key in use has no replacement, so it stays whatever its age.
 * @returns how many went
 */
export async function rotateSigningKeys(database: Queryable, sessionDays: number): Promise<number> {
  await database.$executeRaw`
    INSERT INTO signing_keys (kid, secret)
    SELECT ${randomBytes(8).toString('hex')}, ${randomBytes(32)}
    WHERE EXISTS (SELECT FROM signing_keys)
      AND NOT EXISTS (SELECT FROM signing_keys WHERE created_at > now() - make_interval(days => ${SIGNING_KEY_DAYS}::int))`
  // One more day: processes sign with the old key for some seconds after its replacement.
  const neededDays = Math.max(sessionDays, INVITATION_DAYS) + 1
  return database.$executeRaw`
    DELETE FROM signing_keys k WHERE EXISTS (
      SELECT FROM signing_keys newer
      WHERE newer.created_at > k.created_at AND newer.created_at < now() - make_interval(days => ${neededDays}::int)
    )`
}
