import { AccountError } from './errors.ts'
import type { AccountsContext, Tokens } from './context.ts'
import { normaliseEmail } from './email-address.ts'
import { hashPassword, verifyPassword } from './passwords.ts'
import { openSession } from './sessions.ts'

/**
 * The same answer after the same time for a wrong password, an unknown address, and an account that is not verified or not active.
 * @throws {AccountError} `invalid_credentials`
 */
export async function logIn(accounts: AccountsContext, { email, password }: { email: string; password: string }): Promise<Tokens> {
  const { database } = accounts
  const user = await database.user.findUnique({ where: { email: normaliseEmail(email) } })
  const { right, stale } = await verifyPassword(user?.passwordHash, password)
  const verified = right && user?.verifiedAt && user.active ? { userId: user.id, passwordHash: user.passwordHash } : undefined
  const tokens = verified && (await openSession(accounts, verified))
  if (!tokens) throw new AccountError('invalid_credentials', 'E-mail address or password is wrong')
  if (stale) await rehash(accounts, verified, password)
  return tokens
}

/** Best effort: the session is open already, and the next login tries again where no place to hash is free now. */
async function rehash(
  { database, logger }: AccountsContext,
  verified: { userId: string; passwordHash: string },
  password: string,
): Promise<void> {
  try {
    const passwordHash = await hashPassword(password)
    // Unless the password was changed meanwhile.
    await database.user.updateMany({ where: { id: verified.userId, passwordHash: verified.passwordHash }, data: { passwordHash } })
  } catch (error) {
    logger.warn({ error }, 'Password hash not renewed: the next login tries again')
  }
}
