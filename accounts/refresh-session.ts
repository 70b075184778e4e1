// Exchanges a refresh token for its successor, ends a session by its refresh token, and detects reused refresh tokens.
import { LONGEST_STATEMENT_MS, LONGEST_TRANSACTION_MS, type Queryable } from '../platform/database.ts'
import { RETRY_AFTER_SECONDS } from '../platform/database-errors.ts'
import { AccountError } from './errors.ts'
import type { AccountsContext, Tokens } from './context.ts'
import { hashToken, successorKeyOf, successorOf } from './refresh-tokens.ts'
import { endSessions, sessionOfToken, signTokens } from './sessions.ts'

/** Statements of a refresh outside its transaction: the session of the token, its CSRF token, and the signing keys before and after. */
const STATEMENTS = 4
/** Until the client has received the response, or has noticed that none arrives, and its next request has arrived. */
const NETWORK_SECONDS = 5
const LONGEST_REQUEST_SECONDS = (LONGEST_TRANSACTION_MS + STATEMENTS * LONGEST_STATEMENT_MS) / 1000 + NETWORK_SECONDS
/**
 * If a response was lost in an outage, the client waits as long as `Retry-After` says and repeats the request. Both requests may take
 * as long as their timeouts allow. Within this time, a repeated token is not treated as stolen.
 */
export const GRACE_SECONDS = Math.ceil(RETRY_AFTER_SECONDS + 2 * LONGEST_REQUEST_SECONDS)
/** Maximum of refreshes within the grace period by clients that share a token. A client that repeats an older token is rejected. */
const MAX_SUCCESSORS = 100

/**
 * Exchanges a refresh token for its successor. For a token that was exchanged within the grace period, returns the newest token of its
 * session. A token that was exchanged earlier is known to two parties, so its session ends for both.
 * @throws {AccountError} `refresh_token_invalid`
 */
export async function refreshSession(accounts: AccountsContext, token: string): Promise<Tokens> {
  const { database, keys } = accounts
  const successors = await successorsOf(accounts, token)
  // The transaction is committed even if the token is rejected: a reused token ends its session.
  const outcome = await database.$transaction(async (tx) => {
    const found = await examine(tx, token, successors)
    if (found.kind === 'newest') await replaceToken(tx, { ...found, sessionIdleDays: accounts.sessionIdleDays })
    if (found.kind === 'reused') await endSessions(tx, { sessionId: found.sessionId }, 'reused')
    return found
  })
  if (outcome.kind === 'reused') warnOfReuse(accounts, outcome)
  if (outcome.kind !== 'newest' && outcome.kind !== 'repeated') {
    throw new AccountError('refresh_token_invalid', 'The refresh token is unknown, used, expired or revoked: log in again')
  }
  return signTokens(keys, outcome)
}

/**
 * Ends the session of a refresh token that could refresh it. A reused token ends its session as well, as in {@link refreshSession}.
 * A token that was replaced by a password change does not.
 * @returns true if the session has ended, now or before; false if the token is unknown or superseded
 */
export async function logOutByToken(accounts: AccountsContext, token: string): Promise<boolean> {
  const successors = await successorsOf(accounts, token)
  const found = await accounts.database.$transaction(async (tx) => {
    const examined = await examine(tx, token, successors)
    if (examined.kind === 'newest' || examined.kind === 'repeated') await endSessions(tx, { sessionId: examined.sessionId }, 'logged_out')
    if (examined.kind === 'reused') await endSessions(tx, { sessionId: examined.sessionId }, 'reused')
    return examined
  })
  if (found.kind === 'reused') warnOfReuse(accounts, found)
  return found.kind !== 'unknown' && found.kind !== 'superseded'
}

/** The result of checking a refresh token. */
type Examined =
  | { kind: 'unknown' }
  | { kind: 'ended' }
  /** Replaced by a password change, or the newest token cannot be derived from it: its owner has a newer one. */
  | { kind: 'superseded' }
  /** Exchanged before the grace period. */
  | { kind: 'reused'; sessionId: string }
  /** `newest`: `refreshToken` will replace this token. `repeated`: exchanged within the grace period; `refreshToken` is the newest token. */
  | { kind: 'newest' | 'repeated'; sessionId: string; userId: string; csrfSecret: string; refreshToken: string }

interface SessionRow {
  sessionId: string
  userId: string
  csrfSecret: string
  refreshHash: string
  open: boolean
  /** Null for the newest token. */
  rotatedSecondsAgo: number | null
  blacklistReason: string | null
}

interface Successors {
  next: (of: string) => string
  /** The key that created the token was deleted, so another key creates its successor. */
  isKeyReplaced: boolean
}

async function successorsOf({ keys }: AccountsContext, token: string): Promise<Successors> {
  const key = await successorKeyOf(keys, token)
  return { next: (of) => successorOf(key, of), isKeyReplaced: !token.startsWith(`${key.kid}.`) }
}

/** Locks the session, so that the result holds until the end of the transaction. */
async function examine(tx: Queryable, token: string, { next, isKeyReplaced }: Successors): Promise<Examined> {
  const sessionId = await sessionOfToken(tx, token)
  if (sessionId === undefined) return { kind: 'unknown' }
  const session = await lockSession(tx, sessionId, token)
  if (!session?.open) return { kind: 'ended' }
  const { userId, csrfSecret, refreshHash } = session
  const found = { sessionId, userId, csrfSecret }
  if (refreshHash === hashToken(token)) return { kind: 'newest', ...found, refreshToken: next(token) }
  // A password change replaced this token. Its use does not prove theft, and its owner has the new token.
  if (session.blacklistReason === 'password_changed') return { kind: 'superseded' }
  if ((session.rotatedSecondsAgo ?? Infinity) > GRACE_SECONDS) return { kind: 'reused', sessionId }
  const newest = newestSuccessor(token, next, refreshHash)
  if (newest !== undefined) return { kind: 'repeated', ...found, refreshToken: newest }
  // The key that created the newest token was deleted. The newest key creates another token, once.
  const refreshToken = next(token)
  const isReplaceable = isKeyReplaced && (await mayBeReplaced(tx, sessionId, refreshToken))
  return isReplaceable ? { kind: 'newest', ...found, refreshToken } : { kind: 'superseded' }
}

function warnOfReuse({ logger }: AccountsContext, { sessionId }: { sessionId: string }): void {
  logger.warn({ sessionId }, 'Refresh token reused: the session was ended')
}

async function lockSession(tx: Queryable, sessionId: string, token: string): Promise<SessionRow | undefined> {
  await tx.$queryRaw`SELECT FROM sessions WHERE id = ${sessionId}::uuid FOR UPDATE`
  // A separate statement after the lock, so that it sees what another process has just committed.
  const [session] = await tx.$queryRaw<SessionRow[]>`
    SELECT s.id AS "sessionId", s.user_id AS "userId", s.refresh_hash AS "refreshHash", s.csrf_token AS "csrfSecret",
           s.ended_at IS NULL AND s.refresh_expires_at > now() AND s.expires_at > now() AND u.active AS open,
           extract(epoch FROM clock_timestamp() - b.created_at)::float AS "rotatedSecondsAgo",
           b.reason AS "blacklistReason"
    FROM sessions s JOIN users u ON u.id = s.user_id
    LEFT JOIN refresh_token_blacklist b ON b.token_hash = ${hashToken(token)} AND b.session_id = s.id
    WHERE s.id = ${sessionId}::uuid`
  return session
}

async function replaceToken(
  tx: Queryable,
  { sessionId, refreshToken, sessionIdleDays }: { sessionId: string; refreshToken: string; sessionIdleDays: number },
): Promise<void> {
  await tx.$executeRaw`
    WITH rotated AS (
      INSERT INTO refresh_token_blacklist (token_hash, session_id, user_id, reason, expires_at)
      SELECT refresh_hash, id, user_id, 'rotated', expires_at FROM sessions WHERE id = ${sessionId}::uuid
    )
    UPDATE sessions SET refresh_hash = ${hashToken(refreshToken)},
      refresh_expires_at = LEAST(expires_at, now() + make_interval(days => ${sessionIdleDays}::int))
    WHERE id = ${sessionId}::uuid`
}

/** False if the new token was already issued and replaced, or if the password was changed: the old token may then be stolen. */
async function mayBeReplaced(tx: Queryable, sessionId: string, refreshToken: string): Promise<boolean> {
  const rows = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM refresh_token_blacklist
    WHERE session_id = ${sessionId}::uuid AND (token_hash = ${hashToken(refreshToken)} OR reason = 'password_changed') LIMIT 1`
  return rows.length === 0
}

/** @returns undefined if the newest token cannot be derived from this one, for example after a change of password or signing keys */
function newestSuccessor(token: string, next: Successors['next'], newestHash: string): string | undefined {
  for (let successor = next(token), count = 1; count <= MAX_SUCCESSORS; successor = next(successor), count += 1)
    if (hashToken(successor) === newestHash) return successor
  return undefined
}
