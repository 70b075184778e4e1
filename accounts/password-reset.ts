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
 * Adds a mail with a reset link to the outbox. Does the same work for every address, so that neither the response nor its time shows
 * whether the address has an account: the account is looked up when the mail is sent. A mail that a limit holds back is recorded as
 * well: limits of a recipient count sent mails only, so a shorter time would show that there is an account.
 * @param source the client address of the request
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
 * Sets a new password for the owner of a token. The transaction first marks the token as used, so that only one of two concurrent
 * requests succeeds. It ends all sessions, invalidates the account's other tokens and deletes its counted login failures. A client
 * that repeats the request because the response was lost gets the same response.
 * @returns the account's email address
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
    // Serializes resets of one account. Does not block a concurrent refresh, which locks this row only as a foreign key.
    await tx.$queryRaw`SELECT FROM users WHERE id = ${owner.id}::uuid FOR NO KEY UPDATE`
    const used = await tx.$executeRaw`
      UPDATE password_reset_tokens SET used_at = GREATEST(now(), created_at)
      WHERE token_hash = ${tokenHash} AND used_at IS NULL AND expires_at > now()`
    if (used === 0) return false
    await tx.$executeRaw`UPDATE users SET password_hash = ${passwordHash} WHERE id = ${owner.id}::uuid`
    // Some of these tokens may have been created after this transaction started.
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
 * Changes the user's own password. All other sessions of the account end. This session gets a new refresh token, because an attacker
 * may know the old one. A client that repeats the request because the response was lost gets the same response.
 * @throws {AccountError} `wrong_password`, `password_not_accepted`, `session_ended`
 */
export async function changePassword(
  accounts: AccountsContext,
  { userId, sessionId, email }: Identity,
  { currentPassword, newPassword }: { currentPassword: string; newPassword: string },
): Promise<Tokens> {
  const { database } = accounts
  const user = await database.user.findUnique({ where: { id: userId } })
  const { isCorrect } = await verifyPassword(user?.passwordHash, currentPassword)
  if (!user || !isCorrect) return repeatedChange(accounts, { userId, sessionId }, newPassword)
  refuseWeakPassword('newPassword', newPassword, email)
  if (isSamePassword(newPassword, currentPassword))
    throw new AccountError('password_not_accepted', 'must differ from the current password', { field: 'newPassword' })
  const passwordHash = await hashPassword(newPassword)
  const notice: MailRequest = { kind: 'password_changed', to: email }
  const tokens = await database.$transaction(async (tx) => {
    const allowed = await mailAllowed(tx, accounts, notice)
    // A concurrent reset takes precedence, because it proves access to the mailbox.
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
  const isRepeated = owner !== undefined && (await verifyPassword(owner.passwordHash, password)).isCorrect
  if (!isRepeated) throw invalidToken()
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
  if (!user?.active || !(await verifyPassword(user.passwordHash, password)).isCorrect) throw wrongPassword()
  return tokens
}

function wrongPassword(): Error {
  return new AccountError('wrong_password', 'The current password is wrong')
}

function invalidToken(): Error {
  return new AccountError('reset_token_invalid', 'The link is unknown, used or expired: request a new one')
}
