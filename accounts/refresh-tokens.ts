// Opaque refresh tokens, `<kid>.<43 characters>`. Only their SHA-256 is stored.
import { createHash, randomBytes } from 'node:crypto'
import { mac, type SigningKey, type SigningKeys } from './signing-keys.ts'

export async function newRefreshToken(keys: SigningKeys): Promise<string> {
  const [{ kid }] = await keys.all()
  return `${kid}.${randomBytes(32).toString('base64url')}`
}

/** The key that makes the successors of a token: the one that it names, or the newest where that one was deleted. */
export async function successorKeyOf(keys: SigningKeys, token: string): Promise<SigningKey> {
  const [kid = ''] = token.split('.')
  return (await keys.find(kid)) ?? (await keys.all())[0]
}

/**
 * What takes the place of a token: made from it and a key of the server's, so that any process can give the same answer again
 * to a client whose first answer was lost, and nobody else can tell what it is.
 */
export function successorOf({ kid, refreshTokenKey }: SigningKey, token: string): string {
  return `${kid}.${mac(refreshTokenKey, token)}`
}

/**
 * What takes the place of a token whose password was changed. It does not follow from {@link successorOf}, so that whoever knows the
 * old token cannot get it by refreshing; any process can make it again for a client whose answer was lost.
 */
export function tokenAfterPasswordChange({ kid, refreshTokenKey }: SigningKey, replacedHash: string): string {
  return `${kid}.${mac(refreshTokenKey, `password changed ${replacedHash}`)}`
}

export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
