// Exchanges a refresh token for the next one or ends its session, and notices tokens that somebody else uses as well.
import { LONGEST_STATEMENT_MS, LONGEST_TRANSACTION_MS, type Queryable } from '../platform/database.ts'
import { RETRY_AFTER_SECONDS } from '../platform/database-errors.ts'
import { AccountError } from './errors.ts'
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
 * @throws {AccountError} `refresh_token_invalid`
 */
export async function refreshSession(accounts: AccountsContext, token: string): Promise<Tokens> {
  const { database, keys } = accounts
  const successors = await successorsOf(accounts, token)
  // What the transaction decides is committed also where the answer is a refusal.
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
 * Ends the session of a refresh token with which the session could be refreshed. A reused token ends it as well, as in
 * {@link refreshSession}; a token that was replaced by a changed password does not.
 * @returns false where the token says nothing about a session; true where the session has ended, now or before
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

/** What a refresh token is worth. */
type Examined =
  | { kind: 'unknown' }
  | { kind: 'ended' }
  /** Replaced by a changed password, or the newest token does not follow from it: its owner has a newer one. */
  | { kind: 'superseded' }
  /** Exchanged before the grace period. */
  | { kind: 'reused'; sessionId: string }
  /** `refreshToken` is to replace the newest token, or is the newest token for one that is repeated within the grace period. */
  | { kind: 'newest' | 'repeated'; sessionId: string; userId: string; csrfSecret: string; refreshToken: string }

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

interface Successors {
  next: (of: string) => string
  /** The key that made the token is gone: another one makes its successor. */
  isKeyReplaced: boolean
}

async function successorsOf({ keys }: AccountsContext, token: string): Promise<Successors> {
  const key = await successorKeyOf(keys, token)
  return { next: (of) => successorOf(key, of), isKeyReplaced: !token.startsWith(`${key.kid}.`) }
}

/** Locks the session: what is found stays true until the end of the transaction. */
async function examine(tx: Queryable, token: string, { next, isKeyReplaced }: Successors): Promise<Examined> {
  const sessionId = await sessionOfToken(tx, token)
  if (sessionId === undefined) return { kind: 'unknown' }
  const session = await lockSession(tx, sessionId, token)
  if (!session?.open) return { kind: 'ended' }
  const { userId, csrfSecret, refreshHash } = session
  const found = { sessionId, userId, csrfSecret }
  if (refreshHash === hashToken(token)) return { kind: 'newest', ...found, refreshToken: next(token) }
  // It was replaced on purpose, not by its own use: who shows it need not be a thief, and its owner has the next one.
  if (session.blacklistReason === 'password_changed') return { kind: 'superseded' }
  if ((session.rotatedSecondsAgo ?? Infinity) > GRACE_SECONDS) return { kind: 'reused', sessionId }
  const newest = newestSuccessor(token, next, refreshHash)
  if (newest !== undefined) return { kind: 'repeated', ...found, refreshToken: newest }
  // The key that made the newest token is gone: the newest key makes another one, once.
  const refreshToken = next(token)
  const isReplaceable = isKeyReplaced && (await mayBeReplaced(tx, sessionId, refreshToken))
  return isReplaceable ? { kind: 'newest', ...found, refreshToken } : { kind: 'superseded' }
}

function warnOfReuse({ logger }: AccountsContext, { sessionId }: { sessionId: string }): void {
  logger.warn({ sessionId }, 'Refresh token reused: its session is ended')
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
function newestSuccessor(token: string, next: Successors['next'], newestHash: string): string | undefined {
  for (let successor = next(token), count = 1; count <= MAX_SUCCESSORS; successor = next(successor), count += 1)
    if (hashToken(successor) === newestHash) return successor
  return undefined
}
