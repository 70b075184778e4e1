import { randomBytes } from 'node:crypto'
import type { Queryable } from '../platform/database.ts'
import { problem } from '../platform/problem.ts'
import type { AccountsContext, Identity } from './context.ts'
import { normaliseEmail } from './email-address.ts'
import { passwordChanged, passwordReset } from './mails.ts'
import { hashPassword, verifyPassword } from './passwords.ts'
import { hashToken } from './refresh-tokens.ts'
import { refuseWeakPassword } from './registration.ts'
import { endSessions } from './sessions.ts'

/** Sends a link to the owner of an account; to anybody else, nothing. Not waited for, so its time tells nothing. */
export async function sendPasswordReset(accounts: AccountsContext, email: string): Promise<void> {
  const token = randomBytes(32).toString('base64url')
  const [user] = await accounts.database.$queryRaw<{ email: string }[]>`
    WITH owner AS (SELECT id, email FROM users WHERE email = ${normaliseEmail(email)} AND active),
    issued AS (INSERT INTO password_reset_tokens (user_id, token_hash) SELECT id, ${hashToken(token)} FROM owner)
    SELECT email FROM owner`
  if (user) accounts.post.send(passwordReset(user.email, accounts.publicUrl, token))
}

/**
 * Sets a new password for the owner of a token. The token is used up in the same transaction and before anything else, so that of
 * two who come at once one is refused; all sessions end, and the account's other tokens are worth nothing any more.
 * @throws {Problem} `reset_token_invalid`, `invalid_fields`
 */
export async function resetPassword(accounts: AccountsContext, { token, password }: { token: string; password: string }): Promise<void> {
  const { database } = accounts
  const tokenHash = hashToken(token)
  const [owner] = await database.$queryRaw<{ email: string }[]>`
    SELECT u.email FROM password_reset_tokens t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = ${tokenHash} AND t.used_at IS NULL AND t.expires_at > now() AND u.active`
  if (!owner) throw badToken()
  refuseWeakPassword('password', password, owner.email)
  const passwordHash = await hashPassword(password)
  await database.$transaction(async (tx) => {
    const [used] = await tx.$queryRaw<{ userId: string }[]>`
      UPDATE password_reset_tokens SET used_at = now()
      WHERE token_hash = ${tokenHash} AND used_at IS NULL AND expires_at > now()
      RETURNING user_id AS "userId"`
    if (!used) throw badToken()
    await setPassword(tx, used.userId, passwordHash)
    await endSessions(tx, { userId: used.userId }, 'password_changed')
  })
  accounts.post.send(passwordChanged(owner.email))
}

/**
 * Changes one's own password; every other session of the account ends.
 * @throws {Problem} `wrong_password`, `invalid_fields`
 */
export async function changePassword(
  accounts: AccountsContext,
  { userId, sessionId, email }: Identity,
  { currentPassword, newPassword }: { currentPassword: string; newPassword: string },
): Promise<void> {
  const { database } = accounts
  const user = await database.user.findUnique({ where: { id: userId } })
  const { right } = await verifyPassword(user?.passwordHash, currentPassword)
  if (!right) throw problem('wrong_password', 'The current password is wrong')
  refuseWeakPassword('newPassword', newPassword, email)
  const passwordHash = await hashPassword(newPassword)
  await database.$transaction(async (tx) => {
    await setPassword(tx, userId, passwordHash)
    await endSessions(tx, { userId, exceptSessionId: sessionId }, 'password_changed')
  })
  accounts.post.send(passwordChanged(email))
}

async function setPassword(database: Queryable, userId: string, passwordHash: string): Promise<void> {
  await database.$executeRaw`
    WITH voided AS (UPDATE password_reset_tokens SET used_at = now() WHERE user_id = ${userId}::uuid AND used_at IS NULL)
    UPDATE users SET password_hash = ${passwordHash} WHERE id = ${userId}::uuid`
}

function badToken(): Error {
  return problem('reset_token_invalid', 'The link is unknown, used or expired: ask for a new one')
}
