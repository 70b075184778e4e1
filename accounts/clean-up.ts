// Deletes what accounts leave behind, in batches that skip rows that somebody holds: it may run twice at once.
import { randomBytes } from 'node:crypto'
import { Prisma, type Queryable } from '../platform/database.ts'
import { INVITATION_DAYS } from './signing-keys.ts'

interface Expired {
  table: string
  key: string
  /** Of rows that nothing needs any more. */
  condition: string
  /** Rows of other tables that a deleted row would take with it: table and column. They go first, however many there are. */
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
  // Limits count mails for up to a day.
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
  /** How many went; rows that depended on them are not counted. */
  rows: number
  /** False where all rows that are left are locked by others, or none is left. */
  more: boolean
}

const SIGNING_KEY_DAYS = 30
/** Each batch of dependents searches from the beginning and passes the rows that earlier batches have deleted. Few rows keep that short. */
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

/** The rows that they depend on are locked meanwhile: a session that is refreshed at this moment is not expired any more. */
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

/** A row of which a dependent is left, because somebody holds it, stays until the next time. */
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
 * A new key each month, where there is any at all. An old one goes once nothing that it has signed can be valid: its replacement is
 * older than sessions and invitations can be. The key in use has no replacement, so it stays whatever its age.
 * @returns how many went
 */
export async function rotateSigningKeys(database: Queryable, sessionDays: number): Promise<number> {
  await correctFutureKeys(database)
  await database.$executeRaw`
    INSERT INTO signing_keys (kid, secret)
    SELECT ${randomBytes(8).toString('hex')}, ${randomBytes(32)}
    WHERE EXISTS (SELECT FROM signing_keys)
      AND NOT EXISTS (SELECT FROM signing_keys WHERE created_at > now() - make_interval(days => ${SIGNING_KEY_DAYS}::int))`
  // One more day: processes sign with the old key for some seconds after its replacement.
  const neededDays = Math.max(sessionDays, INVITATION_DAYS) + 1
  return database.$executeRaw`
    DELETE FROM signing_keys k WHERE EXISTS (
      SELECT FROM signing_keys newer
      WHERE newer.created_at > k.created_at AND newer.created_at < now() - make_interval(days => ${neededDays}::int)
    )`
}

/**
 * A key that was made while the clock of the database was ahead would stay the newest until that time comes. It counts as made now.
 * It is written anew, since the application's role may not change keys.
 */
async function correctFutureKeys(database: Queryable): Promise<void> {
  await database.$executeRaw`
    WITH future AS (DELETE FROM signing_keys WHERE created_at > now() + interval '1 minute' RETURNING kid, secret)
    INSERT INTO signing_keys (kid, secret) SELECT kid, secret FROM future`
}
