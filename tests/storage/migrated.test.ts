// Whether a database has all migrations that a build contains.
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { assertMigrated, type Database } from '../../platform/database.ts'
import { readMigrations } from '../../platform/migrations.ts'
import { openDatabase } from '../support/servers.ts'

const MIGRATIONS = readMigrations()
const NEWEST = MIGRATIONS.at(-1)!

let database: Database
let owner: Database
let close: () => Promise<void>
beforeEach(async () => {
  ;({ database, owner, close } = await openDatabase(1))
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
  await expect(refused).rejects.toThrow('npx prisma migrate deploy')
  await expect(refused).rejects.not.toThrow('0001_calls')
})

test('When a migration failed, was resolved and was applied again, then the database is accepted', async () => {
  await owner.$executeRaw`INSERT INTO _prisma_migrations (id, checksum, migration_name, rolled_back_at) VALUES ('a', '', ${NEWEST}, now())`
  await assertMigrated(database, MIGRATIONS)
})

test('When an older migration is missing, then a newer one does not replace it', async () => {
  await owner.$executeRaw`DELETE FROM _prisma_migrations WHERE migration_name = ${MIGRATIONS[1]!}`
  await expect(assertMigrated(database, MIGRATIONS)).rejects.toThrow(MIGRATIONS[1])
})

test('When the database has no tables yet, then the message names the first migration', async () => {
  await owner.$executeRaw`DROP TABLE _prisma_migrations`
  await expect(assertMigrated(database, MIGRATIONS)).rejects.toThrow('0001_calls')
})

test('When the role may not read the list of migrations, then the message says so', async () => {
  await owner.$executeRaw`REVOKE SELECT ON _prisma_migrations FROM caly_app`
  const refused = assertMigrated(database, MIGRATIONS)
  await expect(refused).rejects.toThrow('This role may not read which migrations are applied')
  await expect(refused).rejects.toThrow(NEWEST)
})
