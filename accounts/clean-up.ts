// Deletes expired rows of accounts in batches. Batches skip locked rows, so that several runs may overlap.
import { randomBytes } from 'node:crypto'
import { Prisma, type Queryable } from '../platform/database.ts'
import { INVITATION_DAYS } from './signing-keys.ts'

interface Expired {
  table: string
  key: string
  /** The SQL condition for rows that are no longer needed. */
  condition: string
  /** Tables whose rows are deleted by cascade, and their foreign key columns. Their rows are deleted first, in batches of their own. */
  dependents?: [table: string, column: string][]
}

const EXPIRED = {
  sessions: {
    table: 'sessions',
    key: 'id',
    condition: 'refresh_expires_at < now()',
    dependents: [['refresh_token_blacklist', 'session_id']],
  },
  resetTokens: { table: 'password_reset_tokens', key: 'id', condition: 'expires_at < now()' },
  blacklist: { table: 'refresh_token_blacklist', key: 'id', condition: 'expires_at < now()' },
  // Mail limits count the mails of one day.
  mails: { table: 'account_mails', key: 'id', condition: "created_at < now() - interval '2 days'" },
  unverifiedAccounts: {
    table: 'users',
    key: 'id',
    condition:
      "verified_at IS NULL AND created_at < now() - interval '7 days' AND COALESCE(registered_again_at, created_at) < now() - interval '7 days'",
    dependents: [
      ['refresh_token_blacklist', 'user_id'],
      ['sessions', 'user_id'],
      ['password_reset_tokens', 'user_id'],
    ],
  },
  rateLimits: { table: 'rate_limits', key: 'key', condition: 'expire < (extract(epoch FROM now()) * 1000)::bigint' },
} satisfies Record<string, Expired>

export interface CleanUpBatch {
  /** Number of deleted rows, without dependent rows. */
  rows: number
  /** False if no expired row is left, or if all that are left are locked by other transactions. */
  more: boolean
}

const SIGNING_KEY_DAYS = 30
/** Each batch of dependent rows scans past the rows that earlier batches deleted. Few parents per batch keep this scan short. */
const LIMIT_PER_PARENT = 10
const { raw } = Prisma

/** Deletes at most `limit` rows with each statement. */
export async function deleteExpired(database: Queryable, what: keyof typeof EXPIRED, limit: number): Promise<CleanUpBatch> {
  const expired: Expired = EXPIRED[what]
  if (!expired.dependents) {
    const rows = await deleteRows(database, expired, limit)
    return { rows, more: rows === limit }
  }
  const parents = Math.ceil(limit / LIMIT_PER_PARENT)
  const keys = await keysOfExpired(database, expired, parents)
  for (const dependent of expired.dependents)
    if ((await deleteDependents(database, expired, { dependent, keys, limit })) === limit) return { rows: 0, more: true }
  const rows = await deleteWithoutDependents(database, expired, keys)
  return { rows, more: rows > 0 && keys.length === parents }
}

function deleteRows(database: Queryable, { table, key, condition }: Expired, limit: number): Promise<number> {
  return database.$executeRaw`
    DELETE FROM ${raw(table)} WHERE ${raw(key)} IN (
      SELECT ${raw(key)} FROM ${raw(table)} WHERE ${raw(condition)} LIMIT ${limit} FOR UPDATE SKIP LOCKED
    )`
}

async function keysOfExpired(database: Queryable, { table, key, condition }: Expired, limit: number): Promise<string[]> {
  const rows = await database.$queryRaw<{ key: string }[]>`
    SELECT ${raw(key)}::text AS key FROM ${raw(table)} WHERE ${raw(condition)} LIMIT ${limit} FOR UPDATE SKIP LOCKED`
  return rows.map((row) => row.key)
}

/** Locks the parent rows and checks their condition again: a session that was refreshed meanwhile is no longer expired. */
function deleteDependents(
  database: Queryable,
  { table, key, condition }: Expired,
  { dependent: [dependents, column], keys, limit }: { dependent: [string, string]; keys: string[]; limit: number },
): Promise<number> {
  return database.$executeRaw`
    DELETE FROM ${raw(dependents)} WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM ${raw(dependents)}
      WHERE ${raw(column)} = ANY (ARRAY(
        SELECT ${raw(key)} FROM ${raw(table)} WHERE ${raw(key)} = ANY (${keys}::uuid[]) AND ${raw(condition)} FOR UPDATE SKIP LOCKED
      ))
      LIMIT ${limit} FOR UPDATE SKIP LOCKED
    ))`
}

/** Keeps a row that still has a dependent row, because that one was locked. A later run deletes both. */
function deleteWithoutDependents(
  database: Queryable,
  { table, key, condition, dependents = [] }: Expired,
  keys: string[],
): Promise<number> {
  const none = dependents.map(([other, column]) => `NOT EXISTS (SELECT FROM ${other} d WHERE d.${column} = ${table}.${key})`)
  return database.$executeRaw`
    DELETE FROM ${raw(table)} WHERE ${raw(key)} IN (
      SELECT ${raw(key)} FROM ${raw(table)} WHERE ${raw(key)} = ANY (${keys}::uuid[]) AND ${raw([condition, ...none].join(' AND '))}
      FOR UPDATE SKIP LOCKED
    )`
}

/**
 * Creates a key each month, if any key exists. Deletes a key when nothing that it signed can be valid, which is when its replacement
 * is older than the longest session and invitation. The newest key has no replacement, so it is never deleted.
 * @returns the number of deleted keys
 */
export async function rotateSigningKeys(database: Queryable, sessionDays: number): Promise<number> {
  await correctFutureKeys(database)
  await database.$executeRaw`
    INSERT INTO signing_keys (kid, secret)
    SELECT ${randomBytes(8).toString('hex')}, ${randomBytes(32)}
    WHERE EXISTS (SELECT FROM signing_keys)
      AND NOT EXISTS (SELECT FROM signing_keys WHERE created_at > now() - make_interval(days => ${SIGNING_KEY_DAYS}::int))`
  // One more day, because processes sign with the old key for some seconds after its replacement.
  const neededDays = Math.max(sessionDays, INVITATION_DAYS) + 1
  return database.$executeRaw`
    DELETE FROM signing_keys k WHERE EXISTS (
      SELECT FROM signing_keys newer
      WHERE newer.created_at > k.created_at AND newer.created_at < now() - make_interval(days => ${neededDays}::int)
    )`
}

/**
 * A key that was created while the clock of the database was ahead would stay the newest one until that time. Sets its creation time
 * to now. The row is deleted and inserted, because the application's role may not update keys.
 */
async function correctFutureKeys(database: Queryable): Promise<void> {
  await database.$executeRaw`
    WITH future AS (DELETE FROM signing_keys WHERE created_at > now() + interval '1 minute' RETURNING kid, secret)
    INSERT INTO signing_keys (kid, secret) SELECT kid, secret FROM future`
}
