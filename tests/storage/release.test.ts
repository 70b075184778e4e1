// The release command on a database that is in use: a migration waits for locks for a limited time and is retried until it is applied.
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import pg from 'pg'
import { applyMigrations } from '../../cli/apply-migrations.ts'
import { eventually } from '../support/eventually.ts'
import { createDatabase, newCallSid, uniqueName, type TestDatabase } from '../support/servers.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, 'prisma', 'migrations')
const names = readdirSync(folder)
  .filter((name) => /^\d{4}_/.test(name))
  .toSorted()
/** Adds a column to `recording_attempts`. */
const CHANGED = '0005_attempt_request'

let database: TestDatabase
let pool: pg.Pool
beforeEach(async () => {
  database = await createDatabase()
  pool = new pg.Pool({ connectionString: database.url, statement_timeout: 5000 })
})
afterEach(async () => {
  await pool.end()
  await database.drop()
})

/** Rolls back this migration and all later ones. */
async function rollBackTo(first: string): Promise<void> {
  for (const name of names.slice(names.indexOf(first)).toReversed())
    await pool.query(`BEGIN; ${readFileSync(join(folder, name, 'rollback.sql'), 'utf8')} COMMIT`)
}

/** Opens a transaction that has read the table, like pg_dump. */
async function openReader(): Promise<{ end: () => Promise<void> }> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await client.query('SELECT count(*) FROM recording_attempts')
  return { end: () => client.end() }
}

function release(): { output: () => string; ended: Promise<number | null> } {
  const env = { ...process.env, MIGRATION_DATABASE_URL: database.url }
  const child = spawn(process.execPath, ['--import', 'tsx', 'cli/migrate.ts'], { cwd: root, env })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (text += bytes.toString()))
  return { output: () => text, ended: once(child, 'close').then(([code]) => code as number | null) }
}

/** Inserts rows until it is stopped. */
function keepInserting(): { stop: () => Promise<number> } {
  const stopping = new AbortController()
  const work = (async () => {
    const callSid = newCallSid()
    await pool.query('INSERT INTO calls (call_sid) VALUES ($1)', [callSid])
    let count = 0
    for (; !stopping.signal.aborted; count += 1, await pause(20)) {
      await pool.query(`INSERT INTO recording_attempts (call_sid, identity, state) VALUES ($1, $2, 'not_recorded')`, [
        callSid,
        uniqueName('attempt'),
      ])
    }
    return count
  })()
  work.catch(() => {}) // reported by stop()
  return { stop: () => (stopping.abort(), work) }
}

async function applied(): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT migration_name AS name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL ORDER BY name`,
  )
  return rows.map(({ name }) => name)
}

test.each(names)('When %s is applied or rolled back, then it waits at most 2 s for a lock', (name) => {
  for (const file of ['migration.sql', 'rollback.sql']) {
    const statements = readFileSync(join(folder, name, file), 'utf8').replaceAll(/^--.*\n/gm, '')
    expect(statements.trimStart()).toMatch(/^SET LOCAL lock_timeout = '2s';\n/)
  }
})

test('When a reader locks a table, then inserts continue, and the release command succeeds after the reader has ended', async () => {
  await rollBackTo(CHANGED)
  const reader = await openReader()
  const inserting = keepInserting()
  const command = release()
  await eventually('a lock to be refused', async () => command.output().includes(`${CHANGED} did not get a lock in time`))
  await reader.end()
  expect({ code: await command.ended, output: command.output() }).toMatchObject({ code: 0 })
  expect(await inserting.stop()).toBeGreaterThan(10)
  expect(await applied()).toEqual(names)
})

test('When the reader does not end, then the command fails after its attempts, and no failed migration has to be resolved', async () => {
  await rollBackTo(CHANGED)
  const reader = await openReader()
  const output: string[] = []
  const options = { root, ownerUrl: database.url, report: (text: string) => void output.push(text), signal: new AbortController().signal }
  await expect(applyMigrations({ ...options, attempts: 2, pauseMs: 10 })).rejects.toThrow(`${CHANGED} did not get a lock in time`)
  expect(output).toEqual([expect.stringContaining('attempt 2 of 2')])
  await reader.end()
  await applyMigrations({ ...options, attempts: 1 })
  expect(await applied()).toEqual(names)
})

test('When three release commands start at the same time while a reader locks a table, then all succeed, and each migration is applied once', async () => {
  await rollBackTo(CHANGED)
  const reader = await openReader()
  const commands = [release(), release(), release()]
  await eventually('a lock to be refused', async () => commands.some(({ output }) => output().includes('did not get a lock in time')))
  await reader.end()
  for (const { ended, output } of commands) expect({ code: await ended, output: output() }).toMatchObject({ code: 0 })
  expect(await applied()).toEqual(names)
})

test('When a migration failed for another reason, then the command ends immediately with the error of Prisma', async () => {
  await rollBackTo(CHANGED)
  await pool.query('ALTER TABLE recording_attempts ADD COLUMN request_id TEXT')
  const first = release()
  expect(await first.ended).toBe(1)
  expect(first.output()).toMatch(/P3018[^]*already exists/)
  const second = release()
  expect(await second.ended).toBe(1)
  expect(second.output()).toMatch(/P3009/)
})

test('When another command holds the lock of Prisma for long, then this one waits and succeeds', async () => {
  const holder = new pg.Client({ connectionString: database.url })
  await holder.connect()
  await holder.query('SELECT pg_advisory_lock(72707369)')
  const command = release()
  await eventually('the lock to be refused', async () => command.output().includes('Another command applies migrations'))
  await holder.end()
  expect({ code: await command.ended, output: command.output() }).toMatchObject({ code: 0 })
})

test('When the URL is invalid, then the command names the setting', async () => {
  database = { ...database, url: 'postgresql://caly:word@127.0.0.1:1/caly?pgbouncer=true' }
  const command = release()
  expect(await command.ended).toBe(1)
  expect(command.output()).toMatch(/^MIGRATION_DATABASE_URL has the parameter pgbouncer, .*\n$/)
})
