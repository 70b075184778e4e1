import { SignJWT } from 'jose'
import { ALGORITHM, readSigned, type SigningKeys } from './signing-keys.ts'

export const ACCESS_TOKEN_SECONDS = 15 * 60
const ISSUER = 'caly-backend'
const AUDIENCE = 'caly-api'

export interface AccessClaims {
  userId: string
  sessionId: string
}

/** A JWT that contains only the ids of the user and the session. Permissions are read from the database at each request. */
export async function signAccessToken(keys: SigningKeys, { userId, sessionId }: AccessClaims): Promise<string> {
  const [{ kid, accessTokenKey }] = await keys.all()
  return new SignJWT({ sid: sessionId })
    .setProtectedHeader({ alg: ALGORITHM, typ: 'at+jwt', kid })
    .setSubject(userId)
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setIssuedAt()
    .setExpirationTime(`${ACCESS_TOKEN_SECONDS}s`)
    .sign(accessTokenKey)
}

/**
 * Accepts only our algorithm, type, issuer and audience. Rejects `alg: none`, keys of another kind and tokens for another purpose.
 * @returns undefined if the token is not ours or is not valid now
 */
export async function verifyAccessToken(keys: SigningKeys, token: string): Promise<AccessClaims | undefined> {
  const payload = await readSigned(keys, 'accessTokenKey', token, {
    typ: 'at+jwt',
    issuer: ISSUER,
    audience: AUDIENCE,
    requiredClaims: ['sub', 'sid', 'exp', 'iat'],
  })
  return payload && typeof payload.sid === 'string' && isUuid(payload.sid) && isUuid(payload.sub!)
    ? { userId: payload.sub!, sessionId: payload.sid }
    : undefined
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)
}
