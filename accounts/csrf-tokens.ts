// The CSRF token of a browser session: `<kid>.<signature>.<secret of the session>`. The secret is valid as long as the session, even
// if the signing keys are replaced. `<kid>.<signature>` is the whole token of versions before migration 0010, which ignore the third
// part. So sessions continue while such a version runs beside this one, and after a rollback to it.
import { constantTimeEqual } from '../platform/constant-time-equal.ts'
import type { AccountsContext } from './context.ts'
import { hmac, type SigningKeys } from './signing-keys.ts'

export async function csrfTokenOf(keys: SigningKeys, { sessionId, secret }: { sessionId: string; secret: string }): Promise<string> {
  const [{ kid, csrfKey }] = await keys.all()
  return `${kid}.${hmac(csrfKey, sessionId)}.${secret}`
}

/** Whether this is a CSRF token of the session, including one that a version before migration 0010 issued. */
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
  return key !== undefined && constantTimeEqual(signature, hmac(key.csrfKey, sessionId))
}
