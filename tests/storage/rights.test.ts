// The privileges of the application's role. Whoever adds a table or a column decides here what the application may do with it, and
// grants exactly that in the same migration.
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { APPLICATION_GROUP } from '../../cli/database-roles.ts'
import { createDatabase, servers, uniqueName, type TestDatabase } from '../support/servers.ts'

interface Decision {
  /** The granted ones of SELECT, INSERT, DELETE, TRUNCATE, REFERENCES and TRIGGER. */
  rights: string
  /** Columns that may be updated. The others keep the values that were inserted. */
  changes: string[]
  /** Columns that may not be updated. */
  fixed: string[]
}

const READ_ONLY = 'SELECT'
const ADD_ONLY = 'SELECT INSERT'
const DELETED_BY_CLEAN_UP = 'SELECT INSERT DELETE'

const DECISIONS: Record<string, Decision> = {
  calls: {
    rights: ADD_ONLY,
    changes: words(`account_sid status direction from_number to_number started_at ended_at duration_seconds custom_field
      recording_state recording_state_since recording_url recording_error recording_error_code recording_next_try_at
      recording_concluded_status recording_given_up_at recording_date owner_checked_at updated_at agent_number exophone search_filled`),
    fixed: words('call_sid created_at from_reversed to_reversed call_time'), // a trigger sets the last three
  },
  recordings: {
    rights: ADD_ONLY,
    changes: words(`fetch_url state state_since error error_code next_try_at given_up_at bucket object_key bytes sha256
      content_type codec sample_rate channels duration_seconds remark updated_at`),
    fixed: words('id call_sid source_url created_at'),
  },
  webhook_events: {
    rights: ADD_ONLY,
    changes: words(`raw_body fields relay_state relayed_at relay_tries relay_waits relay_error next_relay_at claimed_until claimed_by`),
    fixed: words('id source route identity call_sid source_urls content_type problem request_id received_at'),
  },
  recording_attempts: {
    rights: ADD_ONLY,
    changes: [],
    fixed: words('id call_sid source_url identity state error error_code bucket object_key request_id concluded_at'),
  },
  reconcile_passes: {
    rights: ADD_ONLY,
    changes: words('identity ended_at complete pages calls_seen calls_new recordings_new remark problem'),
    fixed: words('id kind window_from window_to started_at'),
  },
  object_checks: {
    rights: ADD_ONLY,
    changes: [],
    fixed: words('id identity full rows missing objects unknown adopted deleted foreign surplus ended_at'),
  },
  recording_peaks: {
    rights: 'SELECT INSERT DELETE',
    changes: words('sha256 channels peaks duration_seconds reason next_try_at computed_at'),
    fixed: words('recording_id'),
  },
  users: {
    rights: 'SELECT DELETE', // and INSERT of some columns, see below
    changes: words(`name password_hash registered_again_at verified_at verification_hash verification_expires_at`),
    fixed: words('id email role active created_at updated_at'),
  },
  sessions: {
    rights: DELETED_BY_CLEAN_UP,
    changes: words('refresh_hash refresh_expires_at ended_at end_reason'),
    fixed: words('id user_id expires_at csrf_token created_at updated_at'),
  },
  refresh_token_blacklist: {
    rights: DELETED_BY_CLEAN_UP,
    changes: ['reason'], // needed to lock rows before they are deleted
    fixed: words('id token_hash session_id user_id expires_at created_at'),
  },
  password_reset_tokens: {
    rights: DELETED_BY_CLEAN_UP,
    changes: ['used_at'],
    fixed: words('id user_id token_hash expires_at created_at updated_at'),
  },
  account_mails: {
    rights: DELETED_BY_CLEAN_UP,
    changes: words('attempts next_attempt_at ended_at outcome'),
    fixed: words('id kind recipient mailbox source_hash expires_at created_at'),
  },
  recording_accesses: {
    rights: ADD_ONLY,
    changes: [],
    fixed: words('id call_sid recording_id kind user_id user_email session_id source link_hash expires_at filters created_at'),
  },
  bulk_retries: {
    rights: ADD_ONLY,
    changes: words('state after_time after_call_sid retried skipped updated_at finished_at'),
    fixed: words('id filters reason user_id user_email matches created_at'),
  },
  operator_actions: {
    rights: ADD_ONLY,
    changes: words('result detail finished_at'),
    fixed: words('id action user_id user_email call_sid recording_id subject reason created_at'),
  },
  processes: {
    rights: 'SELECT INSERT DELETE',
    changes: words('state breaker alarms seen_at'),
    fixed: words('id kind name pid version started_at'),
  },
  clean_ups: { rights: ADD_ONLY, changes: words('finished_at failed_at problem'), fixed: words('kind known_since') },
  signing_keys: { rights: DELETED_BY_CLEAN_UP, changes: [], fixed: words('kid secret created_at') },
  rate_limits: { rights: DELETED_BY_CLEAN_UP, changes: words('points expire'), fixed: ['key'] },
  _prisma_migrations: {
    rights: READ_ONLY,
    changes: [],
    fixed: words('id checksum finished_at migration_name logs rolled_back_at started_at applied_steps_count'),
  },
}

function words(text: string): string[] {
  return text.trim().split(/\s+/)
}

let database: TestDatabase
let owner: pg.Client
let application: pg.Client
beforeAll(async () => {
  database = await createDatabase()
  owner = new pg.Client({ connectionString: database.url })
  application = new pg.Client({ connectionString: database.applicationUrl })
  await Promise.all([owner.connect(), application.connect()])
})
afterAll(async () => {
  await Promise.all([owner?.end(), application?.end()])
  await database?.drop()
})

const TABLES = `SELECT relname AS table FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') ORDER BY 1`

async function tables(): Promise<string[]> {
  return (await application.query<{ table: string }>(TABLES)).rows.map(({ table }) => table)
}

/** Queried with the application's own connection: its own privileges, and those of its group and of PUBLIC. */
async function rightsOn(table: string): Promise<Decision> {
  const { rows: rights } = await application.query<{ right: string }>(
    `SELECT "right" FROM unnest(ARRAY['SELECT', 'INSERT', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) WITH ORDINALITY AS each ("right", place)
     WHERE has_table_privilege(format('public.%I', $1::text), "right") ORDER BY place`,
    [table],
  )
  const { rows: columns } = await application.query<{ name: string; changes: boolean }>(
    `SELECT attname AS name, has_column_privilege(attrelid, attnum, 'UPDATE') AS changes FROM pg_attribute
     WHERE attrelid = format('public.%I', $1::text)::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    [table],
  )
  const named = (changes: boolean): string[] => columns.filter((column) => column.changes === changes).map(({ name }) => name)
  return { rights: rights.map(({ right }) => right).join(' '), changes: named(true), fixed: named(false) }
}

test('When a table or a column exists, then the application has exactly the listed privileges on it', async () => {
  for (const table of await tables()) {
    const actual = await rightsOn(table)
    const decided = DECISIONS[table] ?? { rights: 'undecided', changes: [], fixed: [] }
    const existing = [...actual.changes, ...actual.fixed]
    const ofExisting = (columns: string[]): string[] => columns.filter((each) => existing.includes(each)).toSorted()
    expect({ table, rights: actual.rights, changes: actual.changes.toSorted(), fixed: actual.fixed.toSorted() }).toEqual({
      table,
      rights: decided.rights,
      changes: ofExisting(decided.changes),
      fixed: ofExisting(decided.fixed),
    })
  }
})

test('When a column has a sequence, then the application may take the next number, but not set the sequence', async () => {
  const { rows } = await application.query<{ name: string; next: boolean; set: boolean }>(
    `SELECT relname AS name, has_sequence_privilege(oid, 'USAGE') AS next, has_sequence_privilege(oid, 'UPDATE') AS set
     FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'`,
  )
  expect(rows.length).toBeGreaterThan(0)
  expect(rows.filter(({ next, set }) => !next || set)).toEqual([])
})

test.each([
  ['change the content of a webhook', `UPDATE webhook_events SET call_sid = 'x'`],
  ['change when it arrived', 'UPDATE webhook_events SET received_at = now()'],
  ['delete a webhook', 'DELETE FROM webhook_events'],
  ['delete the history of attempts', 'DELETE FROM recording_attempts'],
  ['rewrite the history of attempts', `UPDATE recording_attempts SET state = 'stored'`],
  ['delete a call', 'DELETE FROM calls'],
  ['delete a recording', 'DELETE FROM recordings'],
  ['hide who listened', 'DELETE FROM recording_accesses'],
  ['change who listened', `UPDATE recording_accesses SET user_email = 'x'`],
  ['hide what an operator did', 'DELETE FROM operator_actions'],
  ['change who acted', `UPDATE operator_actions SET user_email = 'x'`],
  ['empty a table', 'TRUNCATE sessions'],
  ['create a table', 'CREATE TABLE public.mine (id INT)'],
  ['change a table', 'ALTER TABLE calls ADD COLUMN mine TEXT'],
  ['drop a table', 'DROP TABLE rate_limits'],
  ['disable a trigger', 'ALTER TABLE refresh_token_blacklist DISABLE TRIGGER ALL'],
  ['replace a function', `CREATE OR REPLACE FUNCTION call_status_rank(status TEXT) RETURNS INTEGER LANGUAGE SQL AS 'SELECT 1'`],
  ['mark a migration as applied', `UPDATE _prisma_migrations SET finished_at = now()`],
  ['create an administrator', `INSERT INTO users (email, name, password_hash, role) VALUES ('a@example.com', 'A', '', 'admin')`],
  ['give a user another role', `UPDATE users SET role = 'admin'`],
  ['activate an account', 'UPDATE users SET active = true'],
  ['create a temporary table', 'CREATE TEMPORARY TABLE mine (id INT)'],
  ['create a large object', 'SELECT lo_create(0)'],
  ['fill a large object', `SELECT lo_from_bytea(0, '\\x00')`],
  ['create a role', 'CREATE ROLE mine'],
  ['become the owner', 'SET ROLE caly_owner'],
  ['read a file of the server', `SELECT pg_read_file('/etc/hostname')`],
])('When the application wants to %s, then PostgreSQL refuses', async (_what, sql) => {
  await expect(application.query(sql)).rejects.toMatchObject({ code: '42501' })
})

test.each(['postgres', 'template1'])('When the application connects to the database %s, then PostgreSQL refuses', async (name) => {
  const url = Object.assign(new URL(database.applicationUrl), { pathname: `/${name}` }).href
  const client = new pg.Client({ connectionString: url })
  await expect(client.connect().finally(() => client.end())).rejects.toMatchObject({ code: '42501' })
  const { rows } = await application.query(`SELECT has_database_privilege($1, 'TEMPORARY') AS temporary`, [name])
  expect(rows).toEqual([{ temporary: false }])
})

const migration = readFileSync(new URL('../../prisma/migrations/0009_application_rights/migration.sql', import.meta.url), 'utf8')

test('When the group of the application does not exist, then the migration creates it, without a login', async () => {
  const group = uniqueName('group').replaceAll('-', '_')
  await owner.query(migration.replaceAll(APPLICATION_GROUP, group))
  try {
    const { rows } = await owner.query(
      `SELECT rolcanlogin AS login, has_table_privilege($1, 'calls', 'INSERT') AS inserts, has_table_privilege($1, 'calls', 'DELETE') AS deletes
       FROM pg_roles WHERE rolname = $1`,
      [group],
    )
    expect(rows).toEqual([{ login: false, inserts: true, deletes: false }])
  } finally {
    await owner.query(`GRANT ${group} TO CURRENT_USER; DROP OWNED BY ${group}; DROP ROLE ${group}`)
  }
})

test('When the owner may not create that group, then the message of the migration says what an administrator has to do', async () => {
  const group = uniqueName('group').replaceAll('-', '_')
  await expect(application.query(migration.replaceAll(APPLICATION_GROUP, group))).rejects.toThrow(
    `let an administrator run CREATE ROLE ${group} NOLOGIN, then deploy again`,
  )
})

test('When an account is added, then the application may set what a registration sets, and nothing else', async () => {
  const { rows } = await application.query<{ name: string }>(
    `SELECT attname AS name FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped
       AND has_column_privilege(attrelid, attnum, 'INSERT') ORDER BY attname`,
  )
  expect(rows.map(({ name }) => name)).toEqual(['email', 'name', 'password_hash', 'verified_at'])
})

const publicRights = readFileSync(new URL('../../prisma/migrations/0011_public_rights/migration.sql', import.meta.url), 'utf8')

test('When migrations were deployed to a database by its owner, then no other role may create temporary tables in it', async () => {
  const deployed = new pg.Client({ connectionString: servers.databaseUrl })
  await deployed.connect()
  const { rows } = await deployed.query(`SELECT has_database_privilege('public', current_database(), 'TEMPORARY') AS allowed`)
  await deployed.end()
  expect(rows).toEqual([{ allowed: false }])
})

test('When the migrating role does not own the database, then the migration continues, and its message says what an administrator has to do', async () => {
  const [name, role] = [uniqueName('foreign').replaceAll('-', '_'), uniqueName('migrator').replaceAll('-', '_')]
  await owner.query(`CREATE ROLE ${role} LOGIN PASSWORD 'of-this-test'`)
  await owner.query(`CREATE DATABASE ${name}`)
  const url = Object.assign(new URL(database.url), { pathname: `/${name}`, username: role, password: 'of-this-test' })
  const migrator = new pg.Client({ connectionString: url.href })
  const notices: string[] = []
  migrator.on('notice', ({ message = '' }) => notices.push(message))
  try {
    await migrator.connect()
    await migrator.query(publicRights.slice(publicRights.indexOf('DO $$')))
    expect(notices.join('\n')).toMatch(new RegExp(`REVOKE TEMPORARY ON DATABASE ${name} FROM PUBLIC`))
    expect((await migrator.query(`SELECT has_database_privilege('public', current_database(), 'TEMPORARY') AS allowed`)).rows).toEqual([
      { allowed: true },
    ])
  } finally {
    await migrator.end()
    await owner.query(`DROP DATABASE ${name}`)
    await owner.query(`DROP ROLE ${role}`)
  }
})
