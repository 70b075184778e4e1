// What a browser session sends beside its cookies: `<kid>.<signature>.<secret of the session>`. The secret lives as long as the
// session, also where the signing keys are replaced. The rest is the whole token of the code before migration 0010, which ignores
// what follows it: sessions go on while that code serves beside this one, and after it has been rolled back to.
import { constantTimeEqual } from '../platform/constant-time-equal.ts'
import type { AccountsContext } from './context.ts'
import { mac, type SigningKeys } from './signing-keys.ts'

export async function csrfTokenOf(keys: SigningKeys, { sessionId, secret }: { sessionId: string; secret: string }): Promise<string> {
  const [{ kid, csrfKey }] = await keys.all()
  return `${kid}.${mac(csrfKey, sessionId)}.${secret}`
}

/** Whether this is the CSRF token of the session, or one that the code before migration 0010 has made for it. */
export async function isCsrfToken({ database, keys }: AccountsContext, sessionId: string, given: string): Promise<boolean> {
  const [kid = '', signature = '', secret] = given.split('.', 3)
  if (secret === undefined) return isSigned(keys, { kid, signature, sessionId })
  const [session] = await database.$queryRaw<{ secret: string }[]>`
    SELECT csrf_token::text AS secret FROM sessions WHERE id = ${sessionId}::uuid`
  return session !== undefined && constantTimeEqual(secret, session.secret)
}

async function isSigned(
  keys: SigningKeys,
  { kid, signature, sessionId }: { kid: string; signature: string; sessionId: string },
): Promise<boolean> {
  const key = await keys.find(kid)
  return key !== undefined && constantTimeEqual(signature, mac(key.csrfKey, sessionId))
}
