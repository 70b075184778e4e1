import { randomBytes } from 'node:crypto'
import type { Mail } from '../platform/post.ts'
import { problem } from '../platform/problem.ts'
import type { AccountsContext, Identity } from './context.ts'
import { normaliseEmail } from './email-address.ts'
import { passwordChanged, passwordReset } from './mails.ts'
import { hashPassword, verifyPassword } from './passwords.ts'
import { hashToken } from './refresh-tokens.ts'
import { refuseWeakPassword } from './registration.ts'
import { endSessions } from './sessions.ts'

/** @returns the mail with a link for the owner of an account; for anybody else, none */
export async function issuePasswordReset(accounts: AccountsContext, email: string): Promise<Mail | undefined> {
  const token = randomBytes(32).toString('base64url')
  const [user] = await accounts.database.$queryRaw<{ email: string }[]>`
    WITH owner AS (SELECT id, email FROM users WHERE email = ${normaliseEmail(email)} AND active),
    issued AS (INSERT INTO password_reset_tokens (user_id, token_hash) SELECT id, ${hashToken(token)} FROM owner)
    SELECT email FROM owner`
  return user && passwordReset(user.email, accounts.publicUrl, token)
}

/**
 * Sets a new password for the owner of a token. The token is used up in the same transaction and before anything else, so that of
 * two who come at once one is refused; all sessions end, and the account's other tokens are worth nothing any more.
 * @returns the account's address
 * @throws {Problem} `reset_token_invalid`, `invalid_fields`
 */
export async function resetPassword(accounts: AccountsContext, { token, password }: { token: string; password: string }): Promise<string> {
  const { database } = accounts
  const tokenHash = hashToken(token)
  const [owner] = await database.$queryRaw<{ id: string; email: string }[]>`
    SELECT u.id, u.email FROM password_reset_tokens t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = ${tokenHash} AND t.used_at IS NULL AND t.expires_at > now() AND u.active`
  if (!owner) throw badToken()
  refuseWeakPassword('password', password, owner.email)
  const passwordHash = await hashPassword(password)
  await database.$transaction(async (tx) => {
    // Two links of one account come one after the other. Whoever refreshes meanwhile needs this row only as a key.
    await tx.$queryRaw`SELECT FROM users WHERE id = ${owner.id}::uuid FOR NO KEY UPDATE`
    const used = await tx.$executeRaw`
      UPDATE password_reset_tokens SET used_at = now() WHERE token_hash = ${tokenHash} AND used_at IS NULL AND expires_at > now()`
    if (used === 0) throw badToken()
    await tx.$executeRaw`UPDATE users SET password_hash = ${passwordHash} WHERE id = ${owner.id}::uuid`
    await tx.$executeRaw`UPDATE password_reset_tokens SET used_at = now() WHERE user_id = ${owner.id}::uuid AND used_at IS NULL`
    await endSessions(tx, { userId: owner.id }, 'password_changed')
  })
  accounts.post.send(passwordChanged(owner.email))
  return owner.email
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
  if (!user || !right) throw wrongPassword()
  refuseWeakPassword('newPassword', newPassword, email)
  const passwordHash = await hashPassword(newPassword)
  await database.$transaction(async (tx) => {
    // A reset wins, before or after: it was made by whoever reads the mailbox.
    const changed = await tx.$executeRaw`
      UPDATE users SET password_hash = ${passwordHash} WHERE id = ${userId}::uuid AND password_hash = ${user.passwordHash} AND active`
    if (changed === 0) throw wrongPassword()
    await endSessions(tx, { userId, exceptSessionId: sessionId }, 'password_changed')
  })
  accounts.post.send(passwordChanged(email))
}

function wrongPassword(): Error {
  return problem('wrong_password', 'The current password is wrong')
}

function badToken(): Error {
  return problem('reset_token_invalid', 'The link is unknown, used or expired: ask for a new one')
}
