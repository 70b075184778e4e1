// The roles of a new PostgreSQL server: an owner of the tables for migrations, and the application's role with few privileges.
import pg from 'pg'

export interface LoginRole {
  name: string
  password: string
}

export interface DatabaseRoles {
  database: string
  /** Owns the database and runs migrations. Not a superuser. */
  owner: LoginRole
  /** The role of API and worker. A member of APPLICATION_GROUP. */
  application: LoginRole
}

/** Migrations grant privileges to this role. */
export const APPLICATION_GROUP = 'caly_app'

/** Every new server has these databases, and by default every role may connect to them. Our roles do not need them. */
const MAINTENANCE_DATABASES = ['postgres', 'template1']

const quoted = pg.escapeIdentifier

/** Only a superuser can revoke these privileges. The application needs no large objects, and they could fill the disk. */
const REVOKE_LARGE_OBJECTS = `DO $$ DECLARE each REGPROCEDURE; BEGIN
  FOR each IN SELECT oid::regprocedure FROM pg_proc
              WHERE pronamespace = 'pg_catalog'::regnamespace AND (proname ~ '^lo_' OR proname IN ('loread', 'lowrite'))
  LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', each); END LOOP;
END $$`

/**
 * Creates what is missing and sets the passwords; safe to run again.
 * @param administrator a superuser's connection
 */
export async function ensureDatabaseRoles(administrator: pg.Client, { database, owner, application }: DatabaseRoles): Promise<void> {
  await ensureRole(administrator, APPLICATION_GROUP, 'NOLOGIN')
  for (const { name, password } of [owner, application]) {
    await ensureRole(administrator, name, `LOGIN PASSWORD ${pg.escapeLiteral(password)}`)
  }
  await administrator.query(`GRANT ${quoted(APPLICATION_GROUP)} TO ${quoted(application.name)}`)
  const { rowCount } = await administrator.query('SELECT FROM pg_database WHERE datname = $1', [database])
  if (rowCount === 0) await administrator.query(`CREATE DATABASE ${quoted(database)}`)
  await administrator.query(`ALTER DATABASE ${quoted(database)} OWNER TO ${quoted(owner.name)}`)
  await inDatabase(administrator, database, REVOKE_LARGE_OBJECTS)
  for (const each of MAINTENANCE_DATABASES) {
    await administrator.query(`REVOKE CONNECT, TEMPORARY ON DATABASE ${quoted(each)} FROM PUBLIC`)
  }
}

/** Privileges on functions belong to one database, so the statement has to run there. */
async function inDatabase({ host, port, user, password }: pg.Client, database: string, sql: string): Promise<void> {
  const client = new pg.Client({ host, port, user, password, database })
  await client.connect()
  await client.query(sql).finally(() => client.end())
}

async function ensureRole(administrator: pg.Client, name: string, options: string): Promise<void> {
  const { rowCount } = await administrator.query('SELECT FROM pg_roles WHERE rolname = $1', [name])
  await administrator.query(`${rowCount === 0 ? 'CREATE' : 'ALTER'} ROLE ${quoted(name)} ${options}`)
}
