// Sessions: one login each, with a family of refresh tokens of which one is good at a time.
import type { Queryable } from '../platform/database.ts'
import { problem, type Problem } from '../platform/problem.ts'
import { signAccessToken, verifyAccessToken } from './access-tokens.ts'
import type { AccountsContext, Identity, Tokens } from './context.ts'
import { hashToken, newRefreshToken, successorOf } from './refresh-tokens.ts'

/** A client whose answer was lost asks again; a thief comes later, or first. */
const GRACE_SECONDS = 10

export type EndReason = 'logged_out' | 'revoked' | 'reused' | 'password_changed'

/**
 * @param passwordHash what the password was compared with: where it has been changed since, or the account is not active or
 *   not verified, there is no session. The row's lock makes whoever changes it see this session, and end it.
 */
export async function openSession(
  accounts: AccountsContext,
  { userId, passwordHash }: { userId: string; passwordHash: string },
): Promise<Tokens | undefined> {
  const { database, keys, sessionDays, sessionIdleDays } = accounts
  const refreshToken = await newRefreshToken(keys)
  const [session] = await database.$queryRaw<{ id: string }[]>`
    WITH account AS (
      SELECT id FROM users WHERE id = ${userId}::uuid AND password_hash = ${passwordHash} AND active AND verified_at IS NOT NULL
      FOR NO KEY UPDATE
    )
    INSERT INTO sessions (user_id, refresh_hash, refresh_expires_at, expires_at)
    SELECT id, ${hashToken(refreshToken)},
           now() + make_interval(days => ${Math.min(sessionIdleDays, sessionDays)}::int), now() + make_interval(days => ${sessionDays}::int)
    FROM account
    RETURNING id`
  if (!session) return undefined
  return { sessionId: session.id, refreshToken, accessToken: await signAccessToken(keys, { userId, sessionId: session.id }) }
}

/**
 * Rotates a refresh token. A token that was rotated within the last seconds gets the same successor again; an older one, or one of
 * which another successor is known, was stolen from somebody: its session ends, for thief and owner alike.
 * @throws {Problem} `refresh_token_invalid`
 */
export async function refreshSession(accounts: AccountsContext, token: string): Promise<Tokens> {
  const { database, keys } = accounts
  const successor = await successorOf(keys, token)
  // What the transaction decides is committed also where the answer is a refusal.
  const outcome = await database.$transaction((tx) => rotate(tx, accounts, { hash: hashToken(token), successorHash: hashToken(successor) }))
  if ('refused' in outcome) {
    if (outcome.refused === 'reused') accounts.logger.warn({ sessionId: outcome.sessionId }, 'Refresh token reused: its session is ended')
    throw refusal()
  }
  return { sessionId: outcome.sessionId, refreshToken: successor, accessToken: await signAccessToken(keys, outcome) }
}

type Rotation = { sessionId: string; userId: string } | { refused: 'unknown' | 'ended' | 'reused'; sessionId?: string }

interface SessionRow {
  sessionId: string
  userId: string
  refreshHash: string
  open: boolean
  /** Null for the token that is good now. */
  rotatedSecondsAgo: number | null
  blacklistReason: string | null
}

async function rotate(
  database: Queryable,
  { sessionIdleDays }: AccountsContext,
  { hash, successorHash }: { hash: string; successorHash: string },
): Promise<Rotation> {
  const sessionId = await sessionOf(database, hash)
  if (sessionId === undefined) return { refused: 'unknown' }
  await database.$queryRaw`SELECT FROM sessions WHERE id = ${sessionId}::uuid FOR UPDATE`
  // A statement of its own: what another process has just done with this session must be seen.
  const [session] = await database.$queryRaw<SessionRow[]>`
    SELECT s.id AS "sessionId", s.user_id AS "userId", s.refresh_hash AS "refreshHash",
           s.ended_at IS NULL AND s.refresh_expires_at > now() AND s.expires_at > now() AND u.active AS open,
           extract(epoch FROM clock_timestamp() - b.created_at)::float AS "rotatedSecondsAgo",
           b.reason AS "blacklistReason"
    FROM sessions s JOIN users u ON u.id = s.user_id
    LEFT JOIN refresh_token_blacklist b ON b.token_hash = ${hash} AND b.session_id = s.id
    WHERE s.id = ${sessionId}::uuid`
  if (!session?.open) return { refused: 'ended' }
  if (session.refreshHash === hash) {
    await database.$executeRaw`
      WITH rotated AS (
        INSERT INTO refresh_token_blacklist (token_hash, session_id, user_id, reason, expires_at)
        SELECT refresh_hash, id, user_id, 'rotated', expires_at FROM sessions WHERE id = ${sessionId}::uuid
      )
      UPDATE sessions SET refresh_hash = ${successorHash},
        refresh_expires_at = LEAST(expires_at, now() + make_interval(days => ${sessionIdleDays}::int))
      WHERE id = ${sessionId}::uuid`
    return session
  }
  const isLostAnswer = session.refreshHash === successorHash && (session.rotatedSecondsAgo ?? Infinity) <= GRACE_SECONDS
  if (isLostAnswer) return session
  // It was replaced on purpose, not by its own use: who shows it need not be a thief, and its owner has the next one.
  if (session.blacklistReason === 'password_changed') return { refused: 'ended' }
  await endSessions(database, { sessionId }, 'reused')
  return { refused: 'reused', sessionId }
}

/**
 * Gives an open session a refresh token that does not follow from the one before, which is refused from then on.
 * @returns undefined where the session has ended
 */
export async function renewSession(
  tx: Queryable,
  { keys, sessionIdleDays }: AccountsContext,
  { userId, sessionId }: { userId: string; sessionId: string },
): Promise<Tokens | undefined> {
  const refreshToken = await newRefreshToken(keys)
  const [open] = await tx.$queryRaw<{ id: string }[]>`SELECT id FROM sessions WHERE id = ${sessionId}::uuid AND ended_at IS NULL FOR UPDATE`
  if (!open) return undefined
  await tx.$executeRaw`
    WITH replaced AS (
      INSERT INTO refresh_token_blacklist (token_hash, session_id, user_id, reason, expires_at)
      SELECT refresh_hash, id, user_id, 'password_changed', expires_at FROM sessions WHERE id = ${sessionId}::uuid
    )
    UPDATE sessions SET refresh_hash = ${hashToken(refreshToken)},
      refresh_expires_at = LEAST(expires_at, now() + make_interval(days => ${sessionIdleDays}::int))
    WHERE id = ${sessionId}::uuid`
  return { sessionId, refreshToken, accessToken: await signAccessToken(keys, { userId, sessionId }) }
}

/**
 * Ends sessions and blacklists their refresh tokens; access tokens of theirs are refused from the next request on.
 * @returns how many were open
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

/** The session whose family a refresh token belongs to, good or not; undefined where there never was such a token. */
export function sessionOfToken(database: Queryable, refreshToken: string): Promise<string | undefined> {
  return sessionOf(database, hashToken(refreshToken))
}

async function sessionOf(database: Queryable, hash: string): Promise<string | undefined> {
  const [found] = await database.$queryRaw<{ id: string }[]>`
    SELECT id FROM sessions WHERE refresh_hash = ${hash}
    UNION SELECT session_id FROM refresh_token_blacklist WHERE token_hash = ${hash}`
  return found?.id
}

/** Who shows this access token; undefined unless token, session and account are all good now. */
export async function authenticate({ database, keys }: AccountsContext, accessToken: string): Promise<Identity | undefined> {
  const claims = await verifyAccessToken(keys, accessToken)
  if (!claims) return undefined
  const [identity] = await database.$queryRaw<Identity[]>`
    SELECT s.id AS "sessionId", u.id AS "userId", u.email, u.name, u.role
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = ${claims.sessionId}::uuid AND u.id = ${claims.userId}::uuid
      AND s.ended_at IS NULL AND s.expires_at > now() AND u.active`
  return identity
}

function refusal(): Problem {
  return problem('refresh_token_invalid', 'The refresh token is unknown, used, expired or revoked: log in again')
}
