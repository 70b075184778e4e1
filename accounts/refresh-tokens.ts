// Opaque refresh tokens, `<kid>.<43 characters>`. Only their SHA-256 is stored.
import { createHash, randomBytes } from 'node:crypto'
import { hmac, type SigningKey, type SigningKeys } from './signing-keys.ts'

export async function newRefreshToken(keys: SigningKeys): Promise<string> {
  const [{ kid }] = await keys.all()
  return `${kid}.${randomBytes(32).toString('base64url')}`
}

/** The key that creates the successors of a token: the one that it names, or the newest one if that was deleted. */
export async function successorKeyOf(keys: SigningKeys, token: string): Promise<SigningKey> {
  const [kid = ''] = token.split('.')
  return (await keys.find(kid)) ?? (await keys.all())[0]
}

/**
 * The successor of a token. It is derived from the token and a key of the server, so that any process can return it again to a client
 * whose first response was lost, and nobody else can compute it.
 */
export function successorOf({ kid, refreshTokenKey }: SigningKey, token: string): string {
  return `${kid}.${hmac(refreshTokenKey, token)}`
}

/**
 * The successor of a token after a password change. It differs from {@link successorOf}, so a person who knows the old token cannot
 * obtain it by a refresh. Any process can create it again for a client whose response was lost.
 */
export function tokenAfterPasswordChange({ kid, refreshTokenKey }: SigningKey, replacedHash: string): string {
  return `${kid}.${hmac(refreshTokenKey, `password changed ${replacedHash}`)}`
}

export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
