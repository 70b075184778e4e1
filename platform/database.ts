import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { applicationConnection } from './database-url.ts'
import { directSql, directTypes, type Queryable } from './direct-sql.ts'
import { PrismaClient } from './generated/client.ts'
import type { Logger } from './logger.ts'
import { createStatementNames } from './statement-names.ts'

export { Prisma } from './generated/client.ts'
export type { Queryable } from './direct-sql.ts'
/** Prisma's client, of which SQL templates and transactions use `pg` directly. */
export type Database = Omit<PrismaClient, '$queryRaw' | '$executeRaw' | '$transaction'> &
  Queryable & {
    /** @param options `timeout` in ms; after it, the transaction is rolled back */
    $transaction<T>(work: (transaction: Queryable) => Promise<T>, options?: { timeout: number }): Promise<T>
  }

export interface DatabaseOptions {
  url: string
  poolSize: number
  logger: Logger
}

/** Longer than any of our statements needs. A stalled server must not hold the connections of a pool forever. */
const STATEMENT_TIMEOUT_MS = 5000
/** For the pool of `openPool`, whose statements decide whether a request may continue. */
const LIMITS_STATEMENT_TIMEOUT_MS = 1500
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000
const CONNECT_TIMEOUT_MS = 3000
const QUERY_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 1000
const TRANSACTION_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 2000
/** The longest time of a single statement, including the wait for a connection. */
export const LONGEST_STATEMENT_MS = CONNECT_TIMEOUT_MS + QUERY_TIMEOUT_MS
/** The longest time of a transaction of several statements, including the wait for a connection. */
export const LONGEST_TRANSACTION_MS = CONNECT_TIMEOUT_MS + TRANSACTION_TIMEOUT_MS

/** A small pool of plain connections for the rate limits. Its timeouts are short; an outage does not end the process. */
export function openPool({ url, poolSize, logger }: DatabaseOptions): pg.Pool {
  const pool = new pg.Pool({
    ...connectionOptions(url, poolSize, LIMITS_STATEMENT_TIMEOUT_MS),
    connectionTimeoutMillis: 1500,
    query_timeout: 2000,
  })
  pool.on('error', (error) => logger.warn({ error }, 'Database connection lost'))
  return pool
}

/** Connects at the first query. */
export function connectDatabase({ url, poolSize, logger }: DatabaseOptions): Database {
  const pool = new pg.Pool({ ...connectionOptions(url, poolSize), types: directTypes })
  pool.on('error', (error) => logger.warn({ error }, 'Database connection lost')) // of an idle connection
  const statementNameGenerator = createStatementNames()
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { statementNameGenerator }) })
  const { transaction, ...sql } = directSql(pool, statementNameGenerator)
  const direct = {
    ...sql,
    $transaction: <T>(work: (transaction: Queryable) => Promise<T>, options = { timeout: TRANSACTION_TIMEOUT_MS }) =>
      transaction(work, options.timeout),
    async $disconnect() {
      await prisma.$disconnect()
      if (!pool.ending) await pool.end()
    },
  }
  return new Proxy(prisma, {
    get: (client, name) => (Object.hasOwn(direct, name) ? direct[name as keyof typeof direct] : (client as never)[name]),
  }) as unknown as Database
}

/**
 * Timeouts are sent in `options`, so the URL can replace them.
 * @throws {BadDatabaseUrl}
 */
function connectionOptions(url: string, poolSize: number, statementTimeoutMs = STATEMENT_TIMEOUT_MS): pg.PoolConfig {
  return {
    ...applicationConnection(url, {
      statement_timeout: statementTimeoutMs,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    }),
    max: poolSize,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: 30_000,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    application_name: 'caly-backend',
  }
}

/**
 * A database with additional migrations is accepted: it is newer than this code, for example after a rollback of the code.
 * @param migrations the migrations of this build
 * @throws if PostgreSQL cannot be reached, lacks a migration, or is behind a connection pooler that ignores our time zone
 */
export async function assertMigrated(database: Database, migrations: string[]): Promise<void> {
  const { ofMigrations, ofTimeZone } = await findDatabaseProblems(database, migrations)
  const problem = ofMigrations ?? ofTimeZone
  if (problem !== undefined) throw new Error(problem)
}

/** Says why {@link assertMigrated} throws. @throws if PostgreSQL cannot be reached */
export async function findDatabaseProblems(
  database: Database,
  migrations: string[],
): Promise<{ ofMigrations: string | undefined; ofTimeZone: string | undefined }> {
  const [row] = await database.$queryRaw<{ hasMigrations: boolean; mayRead: boolean; zone: string; isUtc: boolean }[]>`
    SELECT migrations IS NOT NULL AS "hasMigrations", COALESCE(has_table_privilege(migrations, 'SELECT'), false) AS "mayRead",
           current_setting('TimeZone') AS zone,
           (SELECT bool_and(EXTRACT(timezone FROM moment) = 0) FROM generate_series(now() - '1 year'::interval, now(), '1 month') AS moment) AS "isUtc"
    FROM to_regclass('_prisma_migrations') AS migrations`
  const ofTimeZone = row?.isUtc
    ? undefined
    : `The connection's time zone is ${row?.zone}, not UTC: a connection pooler before PostgreSQL ignores the startup option TimeZone`
  if (row?.hasMigrations && !row.mayRead) {
    const ofMigrations = `This role may not read which migrations are applied; this build needs ${migrations.at(-1)}: run \`npm run migrate\`, and make the role a member of caly_app`
    return { ofMigrations, ofTimeZone }
  }
  const applied = row?.hasMigrations ? await appliedMigrations(database) : []
  const missing = migrations.filter((name) => !applied.includes(name))
  const ofMigrations =
    missing.length > 0 ? `The database lacks the migrations ${missing.join(', ')} of this build: run \`npm run migrate\`` : undefined
  return { ofMigrations, ofTimeZone }
}

/** A failed migration has no `finished_at`. A migration that was resolved as rolled back has `rolled_back_at`. */
async function appliedMigrations(database: Database): Promise<string[]> {
  const rows = await database.$queryRaw<{ name: string }[]>`
    SELECT migration_name AS name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`
  return rows.map(({ name }) => name)
}
