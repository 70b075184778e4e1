import type { AccountsContext, Identity, Tokens } from './context.ts'
import { normaliseEmail } from './email-address.ts'
import { AccountError } from './errors.ts'
import { forgetLoginFailures } from './login-counters.ts'
import { addHeldBackMail, addMail, mailAllowed, type MailRequest } from './mail-outbox.ts'
import { hashPassword, isSamePassword, verifyPassword } from './passwords.ts'
import { GRACE_SECONDS } from './refresh-session.ts'
import { hashToken } from './refresh-tokens.ts'
import { refuseWeakPassword } from './registration.ts'
import { endSessions, renewedTokens, renewSession } from './sessions.ts'

/**
 * Adds the mail with a link to the outbox. The same for every address, so that neither response nor time shows whether it has an
 * account: that is looked up when the mail is sent. A mail that a limit holds back is written as well: limits count mails that
 * were sent, so a shorter time would show that there is an account.
 * @param source the client address that asks
 */
export async function requestPasswordReset(accounts: AccountsContext, { email, source }: { email: string; source: string }): Promise<void> {
  const mail: MailRequest = { kind: 'password_reset', to: normaliseEmail(email), source }
  await accounts.database.$transaction(async (tx) => {
    const allowed = await mailAllowed(tx, accounts, mail)
    await (allowed ? addMail(tx, mail) : addHeldBackMail(tx, mail))
  })
  accounts.mails.kick()
}

/**
 * Sets a new password for the owner of a token. The token is used up in the same transaction and before anything else, so that of
 * two who come at once one is refused; all sessions end, and the account's other tokens are worth nothing any more. Failed logins of
 * the account are forgotten. Who repeats the same request, because its answer was lost, gets the same answer.
 * @returns the account's address
 * @throws {AccountError} `reset_token_invalid`, `password_not_accepted`
 */
export async function resetPassword(accounts: AccountsContext, { token, password }: { token: string; password: string }): Promise<string> {
  const { database } = accounts
  const tokenHash = hashToken(token)
  const [owner] = await database.$queryRaw<{ id: string; email: string }[]>`
    SELECT u.id, u.email FROM password_reset_tokens t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = ${tokenHash} AND t.used_at IS NULL AND t.expires_at > now() AND u.active`
  if (!owner) return repeatedReset(accounts, tokenHash, password)
  refuseWeakPassword('password', password, owner.email)
  const passwordHash = await hashPassword(password)
  const notice: MailRequest = { kind: 'password_changed', to: owner.email }
  const isReset = await database.$transaction(async (tx) => {
    const allowed = await mailAllowed(tx, accounts, notice)
    // Two links of one account come one after the other. Whoever refreshes meanwhile needs this row only as a key.
    await tx.$queryRaw`SELECT FROM users WHERE id = ${owner.id}::uuid FOR NO KEY UPDATE`
    const used = await tx.$executeRaw`
      UPDATE password_reset_tokens SET used_at = GREATEST(now(), created_at)
      WHERE token_hash = ${tokenHash} AND used_at IS NULL AND expires_at > now()`
    if (used === 0) return false
    await tx.$executeRaw`UPDATE users SET password_hash = ${passwordHash} WHERE id = ${owner.id}::uuid`
    // Some of them may have been made after this transaction began.
    await tx.$executeRaw`
      UPDATE password_reset_tokens SET used_at = GREATEST(now(), created_at) WHERE user_id = ${owner.id}::uuid AND used_at IS NULL`
    await endSessions(tx, { userId: owner.id }, 'password_changed')
    await forgetLoginFailures(tx, owner.email)
    if (allowed) await addMail(tx, notice)
    return true
  })
  if (!isReset) return repeatedReset(accounts, tokenHash, password)
  accounts.mails.kick()
  return owner.email
}

/**
 * Changes one's own password; every other session of the account ends, and this one gets a new refresh token, since the old one
 * may be known to whoever the password is changed for. Who repeats the same request, because its answer was lost, gets the same answer.
 * @throws {AccountError} `wrong_password`, `password_not_accepted`, `session_ended`
 */
export async function changePassword(
  accounts: AccountsContext,
  { userId, sessionId, email }: Identity,
  { currentPassword, newPassword }: { currentPassword: string; newPassword: string },
): Promise<Tokens> {
  const { database } = accounts
  const user = await database.user.findUnique({ where: { id: userId } })
  const { right } = await verifyPassword(user?.passwordHash, currentPassword)
  if (!user || !right) return repeatedChange(accounts, { userId, sessionId }, newPassword)
  refuseWeakPassword('newPassword', newPassword, email)
  if (isSamePassword(newPassword, currentPassword))
    throw new AccountError('password_not_accepted', 'must differ from the current password', { field: 'newPassword' })
  const passwordHash = await hashPassword(newPassword)
  const notice: MailRequest = { kind: 'password_changed', to: email }
  const tokens = await database.$transaction(async (tx) => {
    const allowed = await mailAllowed(tx, accounts, notice)
    // A reset wins, before or after: it was made by whoever reads the mailbox.
    const changed = await tx.$executeRaw`
      UPDATE users SET password_hash = ${passwordHash} WHERE id = ${userId}::uuid AND password_hash = ${user.passwordHash} AND active`
    if (changed === 0) return undefined
    await endSessions(tx, { userId, exceptSessionId: sessionId }, 'password_changed')
    const renewed = await renewSession(tx, accounts, { userId, sessionId })
    if (!renewed) throw new AccountError('session_ended', 'The session has ended: log in again')
    if (allowed) await addMail(tx, notice)
    return renewed
  })
  if (!tokens) return repeatedChange(accounts, { userId, sessionId }, newPassword)
  accounts.mails.kick()
  return tokens
}

/** @throws {AccountError} `reset_token_invalid` unless this token has just set this password */
async function repeatedReset({ database }: AccountsContext, tokenHash: string, password: string): Promise<string> {
  const [owner] = await database.$queryRaw<{ email: string; passwordHash: string }[]>`
    SELECT u.email, u.password_hash AS "passwordHash" FROM password_reset_tokens t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = ${tokenHash} AND u.active
      AND t.used_at BETWEEN clock_timestamp() - make_interval(secs => ${GRACE_SECONDS}::float) AND clock_timestamp()`
  const isRepeated = owner !== undefined && (await verifyPassword(owner.passwordHash, password)).right
  if (!isRepeated) throw badToken()
  return owner.email
}

/** @throws {AccountError} `wrong_password` unless this session has just set this password */
async function repeatedChange(
  accounts: AccountsContext,
  session: { userId: string; sessionId: string },
  password: string,
): Promise<Tokens> {
  const tokens = await renewedTokens(accounts, session, GRACE_SECONDS)
  if (!tokens) throw wrongPassword()
  const user = await accounts.database.user.findUnique({ where: { id: session.userId } })
  if (!user?.active || !(await verifyPassword(user.passwordHash, password)).right) throw wrongPassword()
  return tokens
}

function wrongPassword(): Error {
  return new AccountError('wrong_password', 'The current password is wrong')
}

function badToken(): Error {
  return new AccountError('reset_token_invalid', 'The link is unknown, used or expired: ask for a new one')
}
