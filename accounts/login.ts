import { AccountError } from './errors.ts'
import type { AccountsContext, Tokens } from './context.ts'
import { normaliseEmail } from './email-address.ts'
import { hashPassword, verifyPassword } from './passwords.ts'
import { openSession } from './sessions.ts'

/**
 * Opens a session. Fails in the same way and after the same time for a wrong password, an unknown address, and an account that is not
 * verified or not active.
 * @throws {AccountError} `invalid_credentials`
 */
export async function logIn(accounts: AccountsContext, { email, password }: { email: string; password: string }): Promise<Tokens> {
  const { database } = accounts
  const user = await database.user.findUnique({ where: { email: normaliseEmail(email) } })
  const { isCorrect, needsRehash } = await verifyPassword(user?.passwordHash, password)
  const verified = isCorrect && user?.verifiedAt && user.active ? { userId: user.id, passwordHash: user.passwordHash } : undefined
  const tokens = verified && (await openSession(accounts, verified))
  if (!tokens) throw new AccountError('invalid_credentials', 'Incorrect email or password')
  if (needsRehash) await rehash(accounts, verified, password)
  return tokens
}

/** Best effort, because the session is open already: if hashing fails or is busy, the next login retries. */
async function rehash(
  { database, logger }: AccountsContext,
  verified: { userId: string; passwordHash: string },
  password: string,
): Promise<void> {
  try {
    const passwordHash = await hashPassword(password)
    // Changes nothing if the password was changed meanwhile.
    await database.user.updateMany({ where: { id: verified.userId, passwordHash: verified.passwordHash }, data: { passwordHash } })
  } catch (error) {
    logger.warn({ error }, 'Password hash was not updated: the next login retries')
  }
}
