// A session is one login with a family of refresh tokens, of which one is valid at a time.
import type { Queryable } from '../platform/database.ts'
import { signAccessToken, verifyAccessToken } from './access-tokens.ts'
import type { AccountsContext, Identity, Tokens } from './context.ts'
import { csrfTokenOf } from './csrf-tokens.ts'
import { hashToken, newRefreshToken, tokenAfterPasswordChange } from './refresh-tokens.ts'
import type { Role } from './roles.ts'
import type { SigningKeys } from './signing-keys.ts'

export type EndReason = 'logged_out' | 'revoked' | 'reused' | 'password_changed'

/**
 * @param passwordHash the hash against which the password was verified
 * @returns undefined if the password was changed since, or the account is not active or not verified. The lock on the account's row
 *   makes a concurrent password change see this session and end it.
 */
export async function openSession(
  accounts: AccountsContext,
  { userId, passwordHash }: { userId: string; passwordHash: string },
): Promise<Tokens | undefined> {
  const { database, keys, sessionDays, sessionIdleDays } = accounts
  const refreshToken = await newRefreshToken(keys)
  const [session] = await database.$queryRaw<{ id: string; csrfSecret: string }[]>`
    WITH account AS (
      SELECT id FROM users WHERE id = ${userId}::uuid AND password_hash = ${passwordHash} AND active AND verified_at IS NOT NULL
      FOR NO KEY UPDATE
    )
    INSERT INTO sessions (user_id, refresh_hash, refresh_expires_at, expires_at)
    SELECT id, ${hashToken(refreshToken)},
           now() + make_interval(days => ${Math.min(sessionIdleDays, sessionDays)}::int), now() + make_interval(days => ${sessionDays}::int)
    FROM account
    RETURNING id, csrf_token AS "csrfSecret"`
  if (!session) return undefined
  return signTokens(keys, { userId, sessionId: session.id, refreshToken, csrfSecret: session.csrfSecret })
}

/**
 * Gives an open session a refresh token that cannot be derived from the previous one. The previous one is rejected from then on.
 * @returns undefined if the session has ended
 */
export async function renewSession(
  tx: Queryable,
  { keys, sessionIdleDays }: AccountsContext,
  { userId, sessionId }: { userId: string; sessionId: string },
): Promise<Tokens | undefined> {
  const [open] = await tx.$queryRaw<{ csrfSecret: string; refreshHash: string }[]>`
    SELECT csrf_token AS "csrfSecret", refresh_hash AS "refreshHash" FROM sessions WHERE id = ${sessionId}::uuid AND ended_at IS NULL FOR UPDATE`
  if (!open) return undefined
  const [key] = await keys.all()
  const refreshToken = tokenAfterPasswordChange(key, open.refreshHash)
  await tx.$executeRaw`
    WITH replaced AS (
      INSERT INTO refresh_token_blacklist (token_hash, session_id, user_id, reason, expires_at)
      SELECT refresh_hash, id, user_id, 'password_changed', expires_at FROM sessions WHERE id = ${sessionId}::uuid
    )
    UPDATE sessions SET refresh_hash = ${hashToken(refreshToken)},
      refresh_expires_at = LEAST(expires_at, now() + make_interval(days => ${sessionIdleDays}::int))
    WHERE id = ${sessionId}::uuid`
  return signTokens(keys, { userId, sessionId, refreshToken, csrfSecret: open.csrfSecret })
}

/**
 * The tokens that {@link renewSession} has issued to this session within the last `withinSeconds`.
 * @returns undefined if it has issued none, or if they were refreshed since
 */
export async function renewedTokens(
  { database, keys }: AccountsContext,
  { userId, sessionId }: { userId: string; sessionId: string },
  withinSeconds: number,
): Promise<Tokens | undefined> {
  const [renewed] = await database.$queryRaw<{ csrfSecret: string; refreshHash: string; replacedHash: string }[]>`
    SELECT s.csrf_token AS "csrfSecret", s.refresh_hash AS "refreshHash", b.token_hash AS "replacedHash"
    FROM sessions s JOIN refresh_token_blacklist b ON b.session_id = s.id
    WHERE s.id = ${sessionId}::uuid AND s.ended_at IS NULL AND b.reason = 'password_changed'
      AND b.created_at BETWEEN clock_timestamp() - make_interval(secs => ${withinSeconds}::float) AND clock_timestamp()
    ORDER BY b.created_at DESC LIMIT 1`
  if (!renewed) return undefined
  const { csrfSecret, refreshHash, replacedHash } = renewed
  const tokens = (await keys.all()).map((key) => tokenAfterPasswordChange(key, replacedHash))
  const refreshToken = tokens.find((token) => hashToken(token) === refreshHash)
  return refreshToken === undefined ? undefined : signTokens(keys, { userId, sessionId, refreshToken, csrfSecret })
}

/** Adds the access token and the CSRF token of a session, which are not stored. */
export async function signTokens(
  keys: SigningKeys,
  { userId, sessionId, refreshToken, csrfSecret }: { userId: string; sessionId: string; refreshToken: string; csrfSecret: string },
): Promise<Tokens> {
  const csrfToken = await csrfTokenOf(keys, { sessionId, secret: csrfSecret })
  return { sessionId, refreshToken, csrfToken, accessToken: await signAccessToken(keys, { userId, sessionId }) }
}

/**
 * Ends sessions and blacklists their refresh tokens. Their access tokens are rejected from the next request on.
 * @returns the number of sessions that were open
 */
export async function endSessions(
  database: Queryable,
  { userId, sessionId, exceptSessionId }: { userId?: string; sessionId?: string; exceptSessionId?: string },
  reason: EndReason,
): Promise<number> {
  return database.$executeRaw`
    WITH ended AS (
      UPDATE sessions SET ended_at = now(), end_reason = ${reason}
      WHERE ended_at IS NULL
        AND (id = ${sessionId ?? null}::uuid OR user_id = ${userId ?? null}::uuid)
        AND id IS DISTINCT FROM ${exceptSessionId ?? null}::uuid
      RETURNING id, user_id, refresh_hash, expires_at
    )
    INSERT INTO refresh_token_blacklist (token_hash, session_id, user_id, reason, expires_at)
    SELECT refresh_hash, id, user_id, ${reason}, expires_at FROM ended
    ON CONFLICT (token_hash) DO NOTHING`
}

/** The session of a refresh token, whether or not the token is valid; undefined if no such token was ever issued. */
export async function sessionOfToken(database: Queryable, refreshToken: string): Promise<string | undefined> {
  const hash = hashToken(refreshToken)
  const [found] = await database.$queryRaw<{ id: string }[]>`
    SELECT id FROM sessions WHERE refresh_hash = ${hash}
    UNION SELECT session_id FROM refresh_token_blacklist WHERE token_hash = ${hash}`
  return found?.id
}

/** The identity of the holder of an access token; undefined unless token, session and account are all valid now. */
export async function authenticate({ database, keys }: AccountsContext, accessToken: string): Promise<Identity | undefined> {
  const claims = await verifyAccessToken(keys, accessToken)
  return claims && ownerOfSession(database, claims)
}

/** The user of a session; undefined unless session and account are valid now. */
export async function ownerOfSession(
  database: Queryable,
  { sessionId, userId }: { sessionId: string; userId: string },
): Promise<Identity | undefined> {
  const [identity] = await database.$queryRaw<Identity[]>`
    SELECT s.id AS "sessionId", u.id AS "userId", u.email, u.name, u.role
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = ${sessionId}::uuid AND u.id = ${userId}::uuid
      AND s.ended_at IS NULL AND s.expires_at > now() AND u.active`
  return identity
}

/** The roles of the users of these sessions. Sessions that have ended, and those of inactive accounts, are missing. */
export async function rolesOfSessions(database: Queryable, sessionIds: string[]): Promise<Map<string, Role>> {
  const rows = await database.$queryRaw<{ sessionId: string; role: Role }[]>`
    SELECT s.id AS "sessionId", u.role FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = ANY (${sessionIds}::uuid[]) AND s.ended_at IS NULL AND s.expires_at > now() AND u.active`
  return new Map(rows.map(({ sessionId, role }) => [sessionId, role]))
}
