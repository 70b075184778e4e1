import { pino } from 'pino'
import { connectDatabase, findDatabaseProblems, type Database } from '../../platform/database.ts'
import { sqlStateOf } from '../../platform/database-errors.ts'
import { readMigrations } from '../../platform/migrations.ts'
import { fault, messageOf, ok, skipped, type CheckGroup, type Verdict } from './check.ts'
import { checkRights } from './database-rights.ts'

type UrlSetting = 'DATABASE_URL' | 'MIGRATION_DATABASE_URL'

/** What a SQLSTATE says about the connection [PostgreSQL, appendix A]. */
const REFUSALS: Record<string, (setting: UrlSetting) => string> = {
  '28P01': (setting) => `PostgreSQL rejects the role or its password: correct ${setting}`,
  '28000': (setting) => `PostgreSQL refuses this role, address or encryption: correct the role or sslmode in ${setting}, or pg_hba.conf`,
  '3D000': (setting) => `The database does not exist on this server: correct its name in ${setting}, or create it`,
  '42501': (setting) => `The role may not use this database: correct the role or the database in ${setting}, or grant the right`,
  '53300': () => 'PostgreSQL has no free connection: raise its max_connections, or lower DATABASE_POOL_SIZE of the processes',
}

/** PostgreSQL as API and worker use it. */
export const databaseChecks: CheckGroup<'DATABASE_URL'> = {
  names: ['database', 'database-time-zone', 'database-migrations', 'database-rights'],
  needs: ['DATABASE_URL'],
  run: ({ DATABASE_URL: url }, { check }) =>
    withDatabase(url, async (database) => {
      if (!(await check('database', () => checkServer(database)))) return
      await check('database-time-zone', async () => {
        const { ofTimeZone } = await findDatabaseProblems(database, [])
        return ofTimeZone === undefined ? ok('The time zone of the connection is UTC.') : fault(`${ofTimeZone}.`, 'DATABASE_URL')
      })
      await check('database-migrations', async () => {
        const migrations = readMigrations()
        const { ofMigrations } = await findDatabaseProblems(database, migrations)
        return ofMigrations === undefined ? ok(`All ${migrations.length} migrations are applied.`) : fault(`${ofMigrations}.`)
      })
      await check('database-rights', () => checkRights(database))
    }),
  explain: (error) => explainConnection(error, 'DATABASE_URL'),
}

/** The owner of the tables, whom only `npm run migrate` and `npm run accounts` use. */
export const ownerDatabaseChecks: CheckGroup<'DATABASE_URL' | 'MIGRATION_DATABASE_URL'> = {
  names: ['migration-database'],
  needs: ['DATABASE_URL', 'MIGRATION_DATABASE_URL'],
  async run({ DATABASE_URL: applicationUrl, MIGRATION_DATABASE_URL: url }, { check }) {
    if (url === undefined) {
      const text = 'MIGRATION_DATABASE_URL is not set: migrations use DATABASE_URL.'
      return void (await check('migration-database', async () => skipped(text)))
    }
    await withDatabase(url, (database) => check('migration-database', () => checkOwner(database, databaseNameIn(applicationUrl))))
  },
  explain: (error) => explainConnection(error, 'MIGRATION_DATABASE_URL'),
}

async function checkServer(database: Database): Promise<Verdict> {
  const [server] = await database.$queryRaw<{ version: string; name: string; isStandby: boolean }[]>`
    SELECT current_setting('server_version') AS version, current_database() AS name, pg_is_in_recovery() AS "isStandby"`
  const { version, name, isStandby } = server!
  if (isStandby) return fault('The server is a standby, which accepts no writes: name the primary server.', 'DATABASE_URL')
  return ok(`PostgreSQL ${version} accepts the connection to the database ${name}.`)
}

/** @param expected the name of the application's database */
async function checkOwner(database: Database, expected: string): Promise<Verdict> {
  const [found] = await database.$queryRaw<{ name: string; role: string; owns: boolean | null }[]>`
    SELECT current_database() AS name, current_user AS role,
           (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('public.calls')) AS owns`
  const { name, role, owns } = found!
  if (name !== expected)
    return fault(
      `It names the database ${name}, but DATABASE_URL names ${expected}: migrations change another database.`,
      'MIGRATION_DATABASE_URL',
    )
  if (owns === false) return fault(`The role ${role} does not own the tables, so it cannot change them.`, 'MIGRATION_DATABASE_URL')
  return ok(owns ? `The role ${role} owns the tables.` : `The role ${role} can connect; there are no tables yet.`)
}

async function withDatabase(url: string, work: (database: Database) => Promise<unknown>): Promise<void> {
  const database = connectDatabase({ url, poolSize: 1, logger: pino({ level: 'silent' }) })
  try {
    await work(database)
  } finally {
    await database.$disconnect()
  }
}

function explainConnection(error: unknown, setting: UrlSetting): Verdict {
  const state = sqlStateOf(error)
  const refusal = REFUSALS[state ?? '']
  if (refusal) return fault(`${refusal(setting)}. PostgreSQL says: ${messageOf(error)}.`, setting)
  if (state !== undefined) return fault(`PostgreSQL reports the error ${state}: ${messageOf(error)}.`, setting)
  return fault(`PostgreSQL cannot be reached: ${messageOf(error)}. Check host, port and parameters in ${setting}.`, setting)
}

function databaseNameIn(url: string): string {
  return decodeURIComponent(new URL(url).pathname.slice(1))
}
