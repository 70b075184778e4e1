// The secrets that sign tokens are stored in PostgreSQL, so that all API processes share them and none has to be configured.
import { createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { errors, jwtVerify, type JWTPayload, type JWTVerifyOptions } from 'jose'
import type { Database, Queryable } from '../platform/database.ts'

export const ALGORITHM = 'HS256'
/** The validity of an invitation. A key that has signed one is needed as long. */
export const INVITATION_DAYS = 7

export interface SigningKey {
  kid: string
  accessTokenKey: Uint8Array
  invitationKey: Uint8Array
  refreshTokenKey: Uint8Array
  /** Signs the part of CSRF tokens that versions before migration 0010 read. */
  csrfKey: Uint8Array
  /** Signs the positions in lists that clients send back. */
  cursorKey: Uint8Array
}

export interface SigningKeys {
  /** All keys, the newest first. The newest one signs. Creates a key if there is none. */
  all(): Promise<[SigningKey, ...SigningKey[]]>
  /** Reads the table again if the key is not known: another process may have just created it. */
  find(kid: string): Promise<SigningKey | undefined>
}

/** A deleted key is used for at most this time. */
const CACHED_MS = 10_000
/** The shortest time between two reads of the table, however many tokens name keys that do not exist. */
const SEARCH_PAUSE_MS = 1000

export function createSigningKeys(database: Database): SigningKeys {
  let known: { at: number; keys: Promise<[SigningKey, ...SigningKey[]]> } | undefined
  const load = (olderThanMs: number): Promise<[SigningKey, ...SigningKey[]]> => {
    if (!known || performance.now() - known.at > olderThanMs) {
      const keys = readKeys(database)
      keys.catch(() => (known = undefined))
      known = { at: performance.now(), keys }
    }
    return known.keys
  }
  const search = async (kid: string, olderThanMs: number): Promise<SigningKey | undefined> =>
    (await load(olderThanMs)).find((key) => key.kid === kid)
  return {
    all: () => load(CACHED_MS),
    find: async (kid) => (await search(kid, CACHED_MS)) ?? search(kid, SEARCH_PAUSE_MS),
  }
}

/**
 * Verifies a token that we signed for this purpose. Accepts only our algorithm and the key that the token's header names.
 * @returns its payload; undefined if it is not such a token or is not valid now
 */
export async function readSigned(
  keys: SigningKeys,
  purpose: 'accessTokenKey' | 'invitationKey',
  token: string,
  options: JWTVerifyOptions,
): Promise<JWTPayload | undefined> {
  const keyOf = async ({ kid }: { kid?: string }): Promise<Uint8Array> => {
    const key = kid === undefined ? undefined : await keys.find(kid)
    if (!key) throw new errors.JWKSNoMatchingKey()
    return key[purpose]
  }
  try {
    return (await jwtVerify(token, keyOf, { ...options, algorithms: [ALGORITHM] })).payload
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined
    throw error
  }
}

/** Other processes sign with the new key within ten seconds. They accept its signatures at once. */
export async function addSigningKey(database: Queryable): Promise<string> {
  const kid = randomBytes(8).toString('hex')
  await database.$executeRaw`INSERT INTO signing_keys (kid, secret) VALUES (${kid}, ${randomBytes(32)})`
  return kid
}

/** Invalidates all access tokens and invitations that other keys signed. Sessions continue, because their refresh tokens stay valid. */
export async function forgetOtherSigningKeys(database: Queryable, kid: string): Promise<void> {
  await database.$executeRaw`DELETE FROM signing_keys WHERE kid <> ${kid}`
}

async function readKeys(database: Database): Promise<[SigningKey, ...SigningKey[]]> {
  const rows = await database.signingKey.findMany({ orderBy: [{ createdAt: 'desc' }, { kid: 'asc' }] })
  if (rows.length === 0) {
    await addSigningKey(database)
    return readKeys(database)
  }
  return rows.map(({ kid, secret }) => ({
    kid,
    accessTokenKey: derive(secret, 'access token'),
    invitationKey: derive(secret, 'invitation'),
    refreshTokenKey: derive(secret, 'refresh token'),
    csrfKey: derive(secret, 'csrf token'),
    cursorKey: derive(secret, 'cursor'),
  })) as [SigningKey, ...SigningKey[]]
}

/** Derives one key for each purpose, so that a signature for one purpose is invalid for every other. */
function derive(secret: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', `caly ${purpose}`, 32))
}

export function hmac(key: Uint8Array, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url')
}
