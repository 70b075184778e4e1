// Exchanges a refresh token for the next one, and notices tokens that somebody else uses as well.
import { LONGEST_STATEMENT_MS, LONGEST_TRANSACTION_MS, type Queryable } from '../platform/database.ts'
import { RETRY_AFTER_SECONDS } from '../platform/database-errors.ts'
import { problem } from '../platform/problem.ts'
import type { AccountsContext, Tokens } from './context.ts'
import { hashToken, successorKeyOf, successorOf } from './refresh-tokens.ts'
import { endSessions, sessionOfToken, signTokens } from './sessions.ts'

/** Statements of a refresh outside its transaction: whose session it is, its CSRF token, and the signing keys before and after. */
const STATEMENTS = 4
/** Before a client has the answer, or has noticed that none comes, and until its next request arrives. */
const NETWORK_SECONDS = 5
const LONGEST_REQUEST_SECONDS = (LONGEST_TRANSACTION_MS + STATEMENTS * LONGEST_STATEMENT_MS) / 1000 + NETWORK_SECONDS
/**
 * A client whose answer was lost in an outage waits as long as `Retry-After` says and asks again. Both requests may take as long as
 * their timeouts allow. Within this time a repeated token is no theft.
 */
export const GRACE_SECONDS = Math.ceil(RETRY_AFTER_SECONDS + 2 * LONGEST_REQUEST_SECONDS)
/** So often clients that share a token can refresh it within the grace period; a client that repeats an older one is refused. */
const MAX_SUCCESSORS = 100

/**
 * Exchanges a refresh token for its successor. A token that was exchanged within the grace period gets the newest token of its
 * session. One that was exchanged before that is known to two parties: its session ends, for thief and owner alike.
 * @throws {Problem} `refresh_token_invalid`
 */
export async function refreshSession(accounts: AccountsContext, token: string): Promise<Tokens> {
  const { database, keys, logger } = accounts
  const key = await successorKeyOf(keys, token)
  const isKeyReplaced = !token.startsWith(`${key.kid}.`)
  const next = (of: string): string => successorOf(key, of)
  // What the transaction decides is committed also where the answer is a refusal.
  const outcome = await database.$transaction((tx) => rotate(tx, accounts, { token, next, isKeyReplaced }))
  if (outcome.kind === 'refused') {
    const { reason, sessionId } = outcome
    if (reason === 'reused') logger.warn({ sessionId }, 'Refresh token reused: its session is ended')
    throw problem('refresh_token_invalid', 'The refresh token is unknown, used, expired or revoked: log in again')
  }
  return signTokens(keys, outcome)
}

type Rotation =
  | { kind: 'accepted'; sessionId: string; userId: string; refreshToken: string; csrfSecret: string }
  | { kind: 'refused'; reason: 'unknown' | 'ended' | 'superseded' | 'reused'; sessionId?: string }

interface SessionRow {
  sessionId: string
  userId: string
  csrfSecret: string
  refreshHash: string
  open: boolean
  /** Null for the token that is good now. */
  rotatedSecondsAgo: number | null
  blacklistReason: string | null
}

async function rotate(
  tx: Queryable,
  { sessionIdleDays }: AccountsContext,
  { token, next, isKeyReplaced }: { token: string; next: (of: string) => string; isKeyReplaced: boolean },
): Promise<Rotation> {
  const sessionId = await sessionOfToken(tx, token)
  if (sessionId === undefined) return { kind: 'refused', reason: 'unknown' }
  const session = await lockSession(tx, sessionId, token)
  if (!session?.open) return { kind: 'refused', reason: 'ended' }
  const accepted = { kind: 'accepted' as const, sessionId, userId: session.userId, csrfSecret: session.csrfSecret }
  if (session.refreshHash === hashToken(token)) {
    const refreshToken = next(token)
    await replaceToken(tx, { sessionId, refreshToken, sessionIdleDays })
    return { ...accepted, refreshToken }
  }
  // It was replaced on purpose, not by its own use: who shows it need not be a thief, and its owner has the next one.
  if (session.blacklistReason === 'password_changed') return { kind: 'refused', reason: 'ended' }
  if ((session.rotatedSecondsAgo ?? Infinity) <= GRACE_SECONDS) {
    const newest = newestSuccessor(token, next, session.refreshHash)
    if (newest !== undefined) return { ...accepted, refreshToken: newest }
    // The key that made the newest token is gone: the newest key makes another one, once.
    const refreshToken = next(token)
    if (!isKeyReplaced || !(await mayBeReplaced(tx, sessionId, refreshToken))) return { kind: 'refused', reason: 'superseded' }
    await replaceToken(tx, { sessionId, refreshToken, sessionIdleDays })
    return { ...accepted, refreshToken }
  }
  await endSessions(tx, { sessionId }, 'reused')
  return { kind: 'refused', reason: 'reused', sessionId }
}

async function lockSession(tx: Queryable, sessionId: string, token: string): Promise<SessionRow | undefined> {
  await tx.$queryRaw`SELECT FROM sessions WHERE id = ${sessionId}::uuid FOR UPDATE`
  // A statement of its own: what another process has just done with this session must be seen.
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

/** Not by a token that was replaced itself, nor where the password was changed: whoever shows an old token may be a thief then. */
async function mayBeReplaced(tx: Queryable, sessionId: string, refreshToken: string): Promise<boolean> {
  const rows = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM refresh_token_blacklist
    WHERE session_id = ${sessionId}::uuid AND (token_hash = ${hashToken(refreshToken)} OR reason = 'password_changed') LIMIT 1`
  return rows.length === 0
}

/** @returns undefined where the newest token does not follow from this one, as after a changed password or replaced signing keys */
function newestSuccessor(token: string, next: (of: string) => string, newestHash: string): string | undefined {
  for (let successor = next(token), count = 1; count <= MAX_SUCCESSORS; successor = next(successor), count += 1)
    if (hashToken(successor) === newestHash) return successor
  return undefined
}
