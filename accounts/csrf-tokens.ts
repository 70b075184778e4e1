// What a browser session sends beside its cookies. It belongs to the session: replacing the signing keys does not change it.
import { sameText } from '../platform/same-text.ts'
import type { AccountsContext } from './context.ts'
import { mac, type SigningKeys } from './signing-keys.ts'

/** Whether this is the CSRF token of the session, or one that the release before migration 0010 has made for it. */
export async function isCsrfToken({ database, keys }: AccountsContext, sessionId: string, given: string): Promise<boolean> {
  const [session] = await database.$queryRaw<{ csrfToken: string }[]>`
    SELECT csrf_token::text AS "csrfToken" FROM sessions WHERE id = ${sessionId}::uuid`
  if (session && sameText(given, session.csrfToken)) return true
  return isSignedToken(keys, sessionId, given)
}

async function isSignedToken(keys: SigningKeys, sessionId: string, given: string): Promise<boolean> {
  const [kid = '', signature] = given.split('.')
  const key = signature === undefined ? undefined : await keys.find(kid)
  return key !== undefined && sameText(signature!, mac(key.csrfKey, sessionId))
}
