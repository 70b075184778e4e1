// Verifies that an address belongs to the person who registered it, by the mailed link and the chosen password. The password is
// required because a stranger may have registered the address: its owner must not activate an account whose password a stranger knows.
import type { AccountsContext } from './context.ts'
import { AccountError } from './errors.ts'
import { verifyPassword } from './passwords.ts'
import { hashToken } from './refresh-tokens.ts'

/**
 * Verifies the address of the account that the link was mailed to. Only one of two concurrent requests succeeds.
 * @throws {AccountError} `verification_token_invalid`, `wrong_password`
 */
export async function verifyAddress(
  { database }: AccountsContext,
  { token, password }: { token: string; password: string },
): Promise<void> {
  const tokenHash = hashToken(token)
  const [user] = await database.$queryRaw<{ passwordHash: string }[]>`
    SELECT password_hash AS "passwordHash" FROM users
    WHERE verification_hash = ${tokenHash} AND verification_expires_at > now() AND active`
  if (!user) throw invalidToken()
  const { isCorrect } = await verifyPassword(user.passwordHash, password)
  if (!isCorrect) throw new AccountError('wrong_password', 'The password is not the one that was chosen at registration')
  // The password may have been replaced by another registration meanwhile.
  const verified = await database.$executeRaw`
    UPDATE users SET verified_at = now(), verification_hash = NULL, verification_expires_at = NULL
    WHERE verification_hash = ${tokenHash} AND password_hash = ${user.passwordHash} AND verification_expires_at > now() AND active`
  if (verified === 0) throw invalidToken()
}

function invalidToken(): Error {
  return new AccountError('verification_token_invalid', 'The link is unknown, used, replaced or expired: register again')
}
