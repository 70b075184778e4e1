import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { applicationConnection } from './database-url.ts'
import { directSql, type Queryable } from './direct-sql.ts'
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

/** The timeouts of a pool, in ms. `statement` is PostgreSQL's, which ends the statement; `response` is the client's, longer than that. */
interface Timeouts {
  connect: number
  statement: number
  response: number
}

/** Longer than any of our statements needs. A stalled server must not hold the connections of a pool forever. */
const USUAL: Timeouts = { connect: 3000, statement: 5000, response: 6000 }
/** For statements that decide whether a request may continue. */
const SHORT: Timeouts = { connect: 1500, statement: 1500, response: 2000 }
/** For statements of several events, which are recorded one by one if one of them waits for a lock. */
const BATCH: Timeouts = { connect: 500, statement: 250, response: 1000 }
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000
const TRANSACTION_TIMEOUT_MS = USUAL.statement + 2000
/** The longest time of a single statement, including the wait for a connection. */
export const LONGEST_STATEMENT_MS = USUAL.connect + USUAL.response
/** The longest time of a transaction of several statements, including the wait for a connection. */
export const LONGEST_TRANSACTION_MS = USUAL.connect + TRANSACTION_TIMEOUT_MS

/** A small pool of plain connections for the rate limits. Its timeouts are short; an outage does not end the process. */
export function openPool(options: DatabaseOptions): pg.Pool {
  return pooled(options, SHORT)
}

/** A small pool for the statements of several events. Its timeouts are short. Connects at the first statement. */
export function openBatchPool(options: DatabaseOptions): Queryable & { end(): Promise<void> } {
  const pool = pooled(options, BATCH)
  return { ...directSql(pool, createStatementNames()), end: () => pool.end() }
}

/** Connects at the first query. */
export function connectDatabase(options: DatabaseOptions): Database {
  const pool = pooled(options, USUAL)
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
 * Timeouts are sent in `options`, so the URL can replace them. A lost idle connection is logged and does not end the process.
 * @throws {BadDatabaseUrl}
 */
function pooled({ url, poolSize, logger }: DatabaseOptions, timeouts: Timeouts): pg.Pool {
  const pool = new pg.Pool({
    ...applicationConnection(url, {
      statement_timeout: timeouts.statement,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    }),
    max: poolSize,
    connectionTimeoutMillis: timeouts.connect,
    idleTimeoutMillis: 30_000,
    query_timeout: timeouts.response,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    application_name: 'caly-backend',
  })
  pool.on('error', (error) => logger.warn({ error }, 'Database connection lost'))
  return pool
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
