// The check whether a database has all migrations that a build contains.
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { PrismaPg } from '@prisma/adapter-pg'
import { pino } from 'pino'
import { assertMigrated, connectDatabase, type Database } from '../../platform/database.ts'
import { PrismaClient } from '../../platform/generated/client.ts'
import { readMigrations } from '../../platform/migrations.ts'
import { openDatabase } from '../support/servers.ts'

const MIGRATIONS = readMigrations()
const NEWEST = MIGRATIONS.at(-1)!

let database: Database
let owner: Database
let url: string
let close: () => Promise<void>
beforeEach(async () => {
  ;({ database, owner, url, close } = await openDatabase(1))
})
afterEach(() => close?.())

test('When all migrations of the build are applied, then the database is accepted', async () => {
  expect(MIGRATIONS).toContain('0001_calls')
  expect(MIGRATIONS).toEqual(MIGRATIONS.toSorted())
  await assertMigrated(database, MIGRATIONS)
})

test('When the database has a migration that the build does not know, then it is accepted, whether it is applied or failed', async () => {
  await owner.$executeRaw`INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at) VALUES ('a', '', '9998_newer', now())`
  await owner.$executeRaw`INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('b', '', '9999_half_applied')`
  await assertMigrated(database, MIGRATIONS)
})

test.each([
  ['is not applied', `DELETE FROM _prisma_migrations WHERE migration_name = '${NEWEST}'`],
  ['failed', `UPDATE _prisma_migrations SET finished_at = NULL WHERE migration_name = '${NEWEST}'`],
  ['was resolved as rolled back', `UPDATE _prisma_migrations SET rolled_back_at = now() WHERE migration_name = '${NEWEST}'`],
])('When the newest migration %s, then the message names it and the command', async (_how, sql) => {
  await owner.$executeRawUnsafe(sql)
  const refused = assertMigrated(database, MIGRATIONS)
  await expect(refused).rejects.toThrow(NEWEST)
  await expect(refused).rejects.toThrow('npm run migrate')
  await expect(refused).rejects.not.toThrow('0001_calls')
})

test('When a migration failed, was resolved and was applied again, then the database is accepted', async () => {
  await owner.$executeRaw`INSERT INTO _prisma_migrations (id, checksum, migration_name, rolled_back_at) VALUES ('a', '', ${NEWEST}, now())`
  await assertMigrated(database, MIGRATIONS)
})

test('When an older migration is missing, then the database is refused, although a newer one is applied', async () => {
  await owner.$executeRaw`DELETE FROM _prisma_migrations WHERE migration_name = ${MIGRATIONS[1]!}`
  await expect(assertMigrated(database, MIGRATIONS)).rejects.toThrow(MIGRATIONS[1])
})

test('When the database has no tables yet, then the message names the first migration', async () => {
  await owner.$executeRaw`DROP TABLE _prisma_migrations`
  await expect(assertMigrated(database, MIGRATIONS)).rejects.toThrow('0001_calls')
})

test('When the role may not read the list of migrations, then the message reports this', async () => {
  await owner.$executeRaw`REVOKE SELECT ON _prisma_migrations FROM caly_app`
  const refused = assertMigrated(database, MIGRATIONS)
  await expect(refused).rejects.toThrow('This role may not read which migrations are applied')
  await expect(refused).rejects.toThrow(NEWEST)
})

/** A connection whose startup options were replaced by a connection pooler. */
async function withTimeZone(zone: string, work: (database: Database) => Promise<void>): Promise<void> {
  const replaced = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, options: `-c TimeZone=${zone}` }) })
  await work(replaced).finally(() => replaced.$disconnect())
}

test.each(['UTC', 'Etc/UTC', 'Zulu', 'GMT', '0'])(
  'When the time zone of the connection is %s, then it is accepted as UTC',
  async (zone) => {
    await withTimeZone(zone, (replaced) => assertMigrated(replaced, MIGRATIONS))
  },
)

test.each(['Asia/Kolkata', 'Europe/London', 'Europe/Lisbon', '-1'])(
  'When the time zone of the connection is %s, then the message names it',
  async (zone) => {
    await withTimeZone(zone, (replaced) => expect(assertMigrated(replaced, MIGRATIONS)).rejects.toThrow(/time zone is .*, not UTC/))
  },
)

test('When the URL of a server in India has options, then they apply, and the time zone is still UTC', async () => {
  const name = new URL(url).pathname.slice(1)
  await owner.$executeRawUnsafe(`ALTER DATABASE ${name} SET TimeZone = 'Asia/Kolkata'`)
  await owner.$executeRawUnsafe(`ALTER DATABASE ${name} SET search_path = pg_catalog`)
  const options = encodeURIComponent('-c statement_timeout=1234 -c work_mem=5MB')
  const other = connectDatabase({ url: `${url}?options=${options}`, poolSize: 1, logger: pino({ level: 'silent' }) })
  try {
    await assertMigrated(other, MIGRATIONS)
    const settings = ['TimeZone', 'statement_timeout', 'work_mem', 'search_path', 'idle_in_transaction_session_timeout']
    const rows = await other.$queryRaw<{ value: string }[]>`SELECT current_setting(name) AS value FROM unnest(${settings}::text[]) AS name`
    expect(rows.map(({ value }) => value)).toEqual(['UTC', '1234ms', '5MB', 'public', '10s'])
  } finally {
    await other.$disconnect()
  }
})
