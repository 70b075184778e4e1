// The documented command that rolls back a migration, executed as documented.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import pg from 'pg'
import { createDatabase, type TestDatabase } from '../support/servers.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const DOCUMENTED = [
  ...['README.md', 'SECURITY.md'].map((name) => `${root}/${name}`),
  ...readdirSync(`${root}/docs`, { recursive: true, encoding: 'utf8' }).map((name) => `${root}/docs/${name}`),
]
  .filter((file) => file.endsWith('.md'))
  .flatMap((file) => readFileSync(file, 'utf8').match(/^psql .*$/gm) ?? [])
const ROLLBACK = DOCUMENTED.find((command) => command.includes('rollback.sql'))!

let database: TestDatabase
beforeEach(async () => {
  database = await createDatabase()
})
afterEach(() => database.drop())

test('When a psql command is documented, then it ends at the first error', () => {
  expect(DOCUMENTED.length).toBeGreaterThan(0)
  expect(DOCUMENTED.filter((command) => !command.includes('-v ON_ERROR_STOP=1'))).toEqual([])
})

/** psql is not installed with the packages. */
const withPsql = spawnSync('psql', ['--version']).status === 0 ? test : test.skip

withPsql('When a rollback fails, then its command exits with an error, and nothing changes', async () => {
  const command = () =>
    spawnSync('sh', ['-c', ROLLBACK], { cwd: root, encoding: 'utf8', env: { ...process.env, MIGRATION_DATABASE_URL: database.url } })
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  try {
    await client.query(`ALTER TABLE _prisma_migrations RENAME COLUMN migration_name TO other`)
    expect(command().status).not.toBe(0)
    const may = await client.query(`SELECT has_table_privilege('caly_app', 'calls', 'INSERT') AS granted`)
    expect(may.rows).toEqual([{ granted: true }])
    await client.query(`ALTER TABLE _prisma_migrations RENAME COLUMN other TO migration_name`)
    expect(command()).toMatchObject({ status: 0, stderr: '' })
  } finally {
    await client.end()
  }
})
