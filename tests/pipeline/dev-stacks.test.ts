// Concurrent commands of the development stack, and interrupted starts.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import pg from 'pg'
import { startOf } from '../../dev/process-start.mjs'
import { eventually } from '../support/eventually.ts'
import { copyProject, type DevCommand, type ProjectCopy } from '../support/project-copy.ts'

const TIMEOUT_MS = 120_000
const SLOW = '9999_slow'

let copies: ProjectCopy[]
beforeEach(() => {
  copies = [copyProject()]
})
afterEach(async () => {
  for (const copy of copies) await copy.remove()
})

async function storesOneCall({ ended, output, stdout }: DevCommand): Promise<{ callSid: string }> {
  expect({ code: await ended, output: output() }).toMatchObject({ code: 0 })
  const result = JSON.parse(stdout().trim().split('\n').at(-1)!) as { callSid: string; sha256: string; expectedSha256: string }
  expect(result.sha256).toBe(result.expectedSha256)
  return result
}

/** Adds a migration that takes several seconds, like one that creates an index on a large table. */
function addSlowMigration({ folder }: ProjectCopy): void {
  const place = join(folder, 'prisma', 'migrations', SLOW)
  mkdirSync(place)
  writeFileSync(join(place, 'migration.sql'), 'CREATE TABLE "slow" ("id" INTEGER);\nSELECT pg_sleep(4);\n')
}

async function query<Row extends pg.QueryResultRow>({ folder }: ProjectCopy, sql: string): Promise<Row[]> {
  const home = join(folder, '.data', 'postgres')
  const port = Number(readFileSync(join(home, 'data', 'postmaster.pid'), 'utf8').split('\n')[3])
  const password = readFileSync(join(home, 'password'), 'utf8')
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database: 'caly' })
  await client.connect()
  return client.query<Row>(sql).then(
    async ({ rows }) => (await client.end(), rows),
    async (error: unknown) => (await client.end(), Promise.reject(error)),
  )
}

function slowMigrationRuns(copy: ProjectCopy): Promise<unknown> {
  const sql = `SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(4)%' AND state = 'active' AND pid <> pg_backend_pid()`
  return eventually('the slow migration to run', async () => (await query(copy, sql)).length > 0, TIMEOUT_MS)
}

test(
  'When two clones are started at the same moment, then each uses its own servers',
  async () => {
    copies.push(copyProject())
    const commands = copies.map((copy) => copy.dev(['--once']))
    const calls = await Promise.all(commands.map(storesOneCall))
    expect(calls[0]!.callSid).not.toBe(calls[1]!.callSid)
    for (const { output } of commands) expect(output()).toContain('Ready after')
  },
  TIMEOUT_MS,
)

test(
  'When the same clone is started twice at the same moment, then both commands make a call on one stack, which stops after its last user',
  async () => {
    const { folder, dev, noneLeft } = copies[0]!
    const users = join(folder, '.data', 'users')
    const user = join(users, `user.${process.pid}.${startOf(process.pid)}`)
    mkdirSync(users, { recursive: true })
    writeFileSync(user, '') // like a command that makes calls for some time
    const commands = [dev(['--once']), dev(['--once'])]
    await eventually('both calls to be made', async () => commands.every(({ output }) => output().includes('"callSid"')), TIMEOUT_MS)
    await storesOneCall(dev(['call']))
    rmSync(user)
    const calls = await Promise.all(commands.map(storesOneCall))
    expect(calls[0]!.callSid).not.toBe(calls[1]!.callSid)
    expect(commands.filter(({ output }) => output().includes('Ready after'))).toHaveLength(1)
    await noneLeft()
  },
  TIMEOUT_MS,
)

test(
  'When Ctrl-C is pressed during a migration, then the stack stops after it, and the next start finds it applied',
  async () => {
    const [copy] = copies
    addSlowMigration(copy!)
    const { child, ended, output } = copy!.dev(['--once'])
    await slowMigrationRuns(copy!)
    process.kill(-child.pid!, 'SIGINT') // a terminal sends it to all processes of the group
    expect({ code: await ended, output: output() }).toMatchObject({ code: 130, output: expect.stringContaining('Everything has stopped') })
    await copy!.noneLeft()
    const next = copy!.dev()
    await eventually('the migrations to be applied', async () => next.output().includes('Migrations are applied'), TIMEOUT_MS)
    expect(await query(copy!, `SELECT FROM _prisma_migrations WHERE migration_name = '${SLOW}'`)).toHaveLength(1)
    next.child.kill('SIGINT')
    expect(await next.ended).toBe(130)
  },
  TIMEOUT_MS,
)

test(
  'When the stack is killed during a migration, then the next start repairs the half-applied migration',
  async () => {
    const [copy] = copies
    addSlowMigration(copy!)
    const { child } = copy!.dev(['--once'])
    await slowMigrationRuns(copy!)
    child.kill('SIGKILL')
    await copy!.noneLeft()
    const next = copy!.dev()
    await eventually('the migrations to be applied', async () => next.output().includes('Migrations are applied'), TIMEOUT_MS)
    const rows = await query<{ isApplied: boolean }>(
      copy!,
      `SELECT finished_at IS NOT NULL AS "isApplied" FROM _prisma_migrations WHERE migration_name = '${SLOW}' ORDER BY started_at`,
    )
    expect(rows).toEqual([{ isApplied: false }, { isApplied: true }])
    next.child.kill('SIGINT')
    expect(await next.ended).toBe(130)
  },
  TIMEOUT_MS,
)

test(
  'When a migration fails on the data of an earlier start, then the message names the command that deletes the data',
  async () => {
    const [copy] = copies
    addSlowMigration(copy!)
    writeFileSync(join(copy!.folder, 'prisma', 'migrations', SLOW, 'migration.sql'), 'CREATE TABLE "calls" ("id" INTEGER);\n')
    const { ended, output } = copy!.dev(['--once'])
    expect(await ended).toBe(1)
    expect(output()).toMatch(/already exists[^]*npm run dev -- reset/)
  },
  TIMEOUT_MS,
)

test(
  'When lock files of an ended or another process are left, then they do not prevent a start',
  async () => {
    const { folder, dev } = copies[0]!
    const lock = join(folder, '.starting')
    mkdirSync(lock)
    writeFileSync(join(lock, 'pid'), String(process.pid)) // written by an earlier version, with a pid that is in use again
    writeFileSync(join(lock, `lock.${process.pid}.1`), '') // the same pid with another start time
    const call = dev(['call'])
    mkdirSync(join(folder, '.data'), { recursive: true })
    const stale = { pid: call.child.pid, processStart: '1' }
    writeFileSync(join(folder, '.data', 'dev.json'), JSON.stringify(stale))
    expect({ code: await call.ended, output: call.output() }).toEqual({ code: 1, output: expect.stringContaining('No stack is running') })
    expect(existsSync(join(lock, `lock.${process.pid}.1`))).toBe(false)
  },
  TIMEOUT_MS,
)
