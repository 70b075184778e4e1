import { execFile as execFileCallback } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import pg from 'pg'
import { createDatabase, home } from '../support/servers.ts'

const execFile = promisify(execFileCallback)
const root = fileURLToPath(new URL('../..', import.meta.url))
const MIGRATION = '9999_broken'

let project: string
let database: { url: string; drop: () => Promise<void> }
beforeEach(async () => {
  database = await createDatabase()
  project = mkdtempSync(join(home, 'project-'))
  cpSync(join(root, 'prisma'), join(project, 'prisma'), { recursive: true })
  for (const file of ['prisma.config.ts', 'package.json', 'platform/database-url.ts']) cpSync(join(root, file), join(project, file))
  symlinkSync(join(root, 'node_modules'), join(project, 'node_modules'))
})
afterEach(async () => {
  rmSync(project, { recursive: true })
  await database.drop()
})

async function prisma(...args: string[]): Promise<{ code: number; output: string }> {
  return prismaWith({ ...process.env, DATABASE_URL: database.url }, ...args)
}

async function prismaWith(env: NodeJS.ProcessEnv, ...args: string[]): Promise<{ code: number; output: string }> {
  return execFile(process.execPath, ['node_modules/prisma/build/index.js', ...args], { cwd: project, env }).then(
    ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({ code: error.code, output: error.stdout + error.stderr }),
  )
}

async function query(sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  return client.query(sql).then(
    async ({ rows }) => (await client.end(), rows as Record<string, unknown>[]),
    async (error: unknown) => (await client.end(), Promise.reject(error)),
  )
}

function migrations(): string[] {
  const entries = readdirSync(join(project, 'prisma', 'migrations'), { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted()
}

async function rollBack(name: string): Promise<void> {
  await query(`BEGIN; ${readFileSync(join(project, 'prisma', 'migrations', name, 'rollback.sql'), 'utf8')} COMMIT`)
}

function writeMigration(sql: string): void {
  const folder = join(project, 'prisma', 'migrations', MIGRATION)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'migration.sql'), sql)
}

test('When migrations are deployed again, then nothing changes, and the schema is the one that they create', async () => {
  const again = await prisma('migrate', 'deploy')
  expect(again).toMatchObject({ code: 0, output: expect.stringContaining('No pending migrations') })
  const drift = await prisma('migrate', 'diff', '--from-config-datasource', '--to-schema', 'prisma/schema.prisma', '--exit-code')
  expect(drift).toMatchObject({ code: 0 })
})

test('When a migration fails, then only its own row remains, and after resolve the corrected one applies', async () => {
  writeMigration('CREATE TABLE half_done (id INT);\nINSERT INTO half_done VALUES (1);\nSELECT no_such_function();\n')
  const deployed = await prisma('migrate', 'deploy')
  expect(deployed.code).not.toBe(0)
  expect(deployed.output).toContain('P3018')
  expect(await query(`SELECT to_regclass('half_done') AS found`)).toEqual([{ found: null }])
  expect(await query(`SELECT finished_at, rolled_back_at FROM _prisma_migrations WHERE migration_name = '${MIGRATION}'`)).toEqual([
    { finished_at: null, rolled_back_at: null },
  ])
  expect((await prisma('migrate', 'deploy')).code).not.toBe(0)

  expect(await prisma('migrate', 'resolve', '--rolled-back', MIGRATION)).toMatchObject({ code: 0 })
  writeMigration('CREATE TABLE half_done (id INT);\n')
  expect(await prisma('migrate', 'deploy')).toMatchObject({ code: 0 })
  expect(await query(`SELECT to_regclass('half_done')::text AS found`)).toEqual([{ found: 'half_done' }])
})

test('When a statement of a real migration fails, then none of its changes remains', async () => {
  const names = migrations()
  const accounts = names.indexOf('0003_accounts')
  for (const name of names.slice(accounts).toReversed()) await rollBack(name)
  const file = join(project, 'prisma', 'migrations', '0003_accounts', 'migration.sql')
  const whole = readFileSync(file, 'utf8')
  writeFileSync(file, `${whole}\nSELECT no_such_function();\n`)
  expect((await prisma('migrate', 'deploy')).output).toContain('P3018')
  expect(await query(`SELECT to_regclass('users') AS users, to_regproc('set_updated_at') AS trigger`)).toEqual([
    { users: null, trigger: null },
  ])

  writeFileSync(file, whole)
  expect(await prisma('migrate', 'resolve', '--rolled-back', '0003_accounts')).toMatchObject({ code: 0 })
  expect(await prisma('migrate', 'deploy')).toMatchObject({ code: 0 })
})

test('When the migrations are rolled back one after the other, then none of their changes remains, and they apply again', async () => {
  for (const name of migrations().toReversed()) await rollBack(name)
  const left = `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname !~ '^_prisma_migrations'
                UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace`
  expect(await query(left)).toEqual([])
  expect(await prisma('migrate', 'deploy')).toMatchObject({ code: 0 })
  const drift = await prisma('migrate', 'diff', '--from-config-datasource', '--to-schema', 'prisma/schema.prisma', '--exit-code')
  expect(drift).toMatchObject({ code: 0 })
})

test('When invalid rows are written, then the database refuses them', async () => {
  const bad = [
    `INSERT INTO calls (call_sid) VALUES ('../x')`,
    `INSERT INTO calls (call_sid, recording_state) VALUES ('a', 'lost')`,
    `INSERT INTO calls (call_sid, recording_state) VALUES ('a', 'stored')`,
    `INSERT INTO calls (call_sid, recording_state, recording_url) VALUES ('a', 'failed', 'https://x')`,
    `INSERT INTO calls (call_sid, recording_error) VALUES ('a', 'x')`,
    `INSERT INTO recordings (call_sid, source_url) VALUES ('nobody', 'x')`,
    `INSERT INTO webhook_events (source, route, identity, relay_state) VALUES ('exotel', 'x', 'x', 'pending')`,
    `INSERT INTO webhook_events (source, route, identity, relay_state) VALUES ('stranger', 'x', 'x', 'none')`,
  ]
  for (const sql of bad) await expect(query(sql)).rejects.toThrow(/violates|constraint/)
  await query(`INSERT INTO calls (call_sid) VALUES ('a')`)
  await expect(
    query(
      `INSERT INTO recordings (call_sid, source_url, state, bucket, object_key, bytes, sha256) VALUES ('a', 'x', 'stored', 'b', 'k', 0, 'abc')`,
    ),
  ).rejects.toThrow()
})

test('When .env contains the URL of the database, then migrations use it, unless the process may not read .env', async () => {
  const { DATABASE_URL: _, MIGRATION_DATABASE_URL: __, NO_ENV_FILE: ___, ...env } = process.env
  writeFileSync(join(project, '.env'), `DATABASE_URL=${database.url}\n`)
  expect(await prismaWith(env, 'migrate', 'status')).toMatchObject({ code: 0, output: expect.stringContaining('up to date') })
  const elsewhere = { ...env, DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/elsewhere' }
  expect(await prismaWith(elsewhere, 'migrate', 'status')).toMatchObject({ code: 1, output: expect.stringContaining('127.0.0.1:1') })
  expect(await prismaWith({ ...env, NO_ENV_FILE: 'true' }, 'migrate', 'status')).toMatchObject({ code: 1 })
})
