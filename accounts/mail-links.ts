// Creates the secrets of links in mails when a mail is sent. Only their hashes are stored.
import { randomBytes } from 'node:crypto'
import type { Queryable } from '../platform/database.ts'
import { VERIFICATION_HOURS } from './mail-outbox.ts'
import { hashToken } from './refresh-tokens.ts'

/**
 * Creates the secret of a verification link. It replaces the account's earlier one.
 * @returns undefined if the address has no account that is waiting for verification
 */
export async function issueVerificationToken(database: Queryable, email: string): Promise<string | undefined> {
  const token = randomBytes(32).toString('base64url')
  const issued = await database.$executeRaw`
    UPDATE users SET verification_hash = ${hashToken(token)},
      verification_expires_at = now() + make_interval(hours => ${VERIFICATION_HOURS}::int)
    WHERE email = ${email} AND verified_at IS NULL AND active`
  return issued > 0 ? token : undefined
}

/** Creates the secret of a password reset link. @returns undefined if the address has no verified, active account */
export async function issueResetToken(database: Queryable, email: string): Promise<string | undefined> {
  const token = randomBytes(32).toString('base64url')
  const issued = await database.$executeRaw`
    INSERT INTO password_reset_tokens (user_id, token_hash)
    SELECT id, ${hashToken(token)} FROM users WHERE email = ${email} AND active AND verified_at IS NOT NULL`
  return issued > 0 ? token : undefined
}
