// The command as people and release jobs run it: its output, its exit codes, its settings, and its end by a signal.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import type { Finding } from '../../cli/doctor/check.ts'
import { openInstallation, notOk, type Installation } from '../support/doctor.ts'
import { dist, home, uniqueName } from '../support/servers.ts'

interface Run {
  child: ChildProcess
  ended: Promise<{ code: number | null; stdout: string; stderr: string }>
}

const folder = join(home, uniqueName('doctor'))

let installation: Installation
let before: object
beforeAll(async () => {
  installation = await openInstallation()
})
afterAll(() => installation?.close())
beforeEach(async () => {
  mkdirSync(join(folder, '.data'), { recursive: true })
  installation.s3.reset()
  before = await installation.state()
})
afterEach(async () => {
  rmSync(folder, { recursive: true })
  expect(await installation.state()).toEqual(before)
})

/** Starts the built command in the folder, with only `env` in its environment. */
function start(args: string[], env: NodeJS.ProcessEnv): Run {
  const child = spawn(process.execPath, [join(dist, 'cli/doctor.js'), ...args], { cwd: folder, env: { PATH: process.env.PATH, ...env } })
  const texts = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) child[name].on('data', (bytes: Buffer) => (texts[name] += bytes.toString()))
  return { child, ended: new Promise((resolve) => child.once('close', (code) => resolve({ code, ...texts }))) }
}

const run = (args: string[], env: NodeJS.ProcessEnv): Run['ended'] => start(args, env).ended

function checksIn(stdout: string): { ok: boolean; checks: Finding[] } {
  return JSON.parse(stdout.trim().split('\n').at(-1)!)
}

test('When all settings are right, then the last line of --json says so, nothing is printed to stderr, and the exit code is 0', async () => {
  const { code, stdout, stderr } = await run(['--json'], installation.env)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { ok, checks } = checksIn(stdout)
  expect(ok).toBe(true)
  expect(notOk(checks)).toEqual({ 'production-settings': 'skipped' })
})

test('When a setting is wrong, then a line of the text names the check, the reason and the setting, and the exit code is 1', async () => {
  const { code, stdout } = await run([], { ...installation.env, WASABI_BUCKET: 'nowhere' })
  expect(code).toBe(1)
  expect(stdout).toMatch(/^error +bucket +.*There is no bucket nowhere .*correct WASABI_BUCKET\.$/m)
  expect(stdout).toMatch(/^ok +database +PostgreSQL /m)
  expect(stdout.trim().split('\n').at(-1)).toMatch(/^1 error, no warnings; \d+ of \d+ checks were skipped\.$/)
})

test.each([[['--yaml']], [['--json', 'bucket']]])(
  'When the arguments are %j, then the usage is printed, and the exit code is 2',
  async (args) => {
    const { code, stdout, stderr } = await run(args, installation.env)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/Usage: npm run doctor/)
  },
)

test('When .env has the settings, then they are used; when it cannot be read, then the exit code is 2', async () => {
  const lines = Object.entries(installation.env).map(([name, value]) => `${name}='${value}'`)
  writeFileSync(join(folder, '.env'), lines.join('\n'))
  expect(await run([], {})).toMatchObject({ code: 0, stderr: '' })
  rmSync(join(folder, '.env'))
  mkdirSync(join(folder, '.env'))
  const { code, stdout } = await run(['--json'], installation.env)
  expect(code).toBe(2)
  const { ok, checks } = checksIn(stdout)
  expect(ok).toBe(false)
  expect(checks[0]).toMatchObject({ name: 'settings', result: 'error', text: expect.stringMatching(/^The file \.env .* cannot be read/) })
  expect(checks.slice(1).map(({ result }) => result)).toEqual(checks.slice(1).map(() => 'skipped'))
})

test('When there are no settings and no development stack, then the missing ones are named, and the exit code is 2', async () => {
  const { code, stdout } = await run([], {})
  expect(code).toBe(2)
  expect(stdout).toMatch(/^error +settings +DATABASE_URL is missing\.$/m)
})

/** Describes the installation as the development stack does. */
function writeDevStack(pid: number): void {
  const { env, database } = installation
  const stack = {
    pid,
    applicationDatabaseUrl: database.applicationUrl,
    databaseUrl: database.url,
    temporalAddress: env.TEMPORAL_ADDRESS,
    temporalNamespace: env.TEMPORAL_NAMESPACE,
    s3: {
      endpoint: env.WASABI_ENDPOINT,
      region: env.WASABI_REGION,
      bucket: env.WASABI_BUCKET,
      accessKeyId: env.WASABI_ACCESS_KEY,
      secretAccessKey: env.WASABI_SECRET_KEY,
    },
    exotel: {
      webhookSecret: env.EXOTEL_WEBHOOK_SECRET,
      accountSid: env.EXOTEL_ACCOUNT_SID,
      apiKey: env.EXOTEL_API_KEY,
      apiToken: env.EXOTEL_API_TOKEN,
      apiBaseUrl: env.EXOTEL_API_BASE_URL,
    },
    simulatorUrl: env.EXOTEL_API_BASE_URL,
    spoolDirectory: env.SPOOL_DIRECTORY,
  }
  writeFileSync(join(folder, '.data/dev.json'), JSON.stringify(stack))
}

test('When the development stack runs, then a command without settings examines it; with settings of its own, it does not', async () => {
  writeDevStack(process.pid)
  const { code, stdout } = await run(['--json'], {})
  expect(code).toBe(0)
  const { checks } = checksIn(stdout)
  expect(checks[0]).toMatchObject({ name: 'settings', result: 'ok', text: expect.stringContaining('the development stack') })
  expect(checks).toContainEqual({ name: 'database-rights', result: 'ok', text: 'The role caly has the rights that it needs.' })
  for (const env of [{ WASABI_BUCKET: 'mine' }, { NODE_ENV: 'production' }]) expect(await run([], env)).toMatchObject({ code: 2 })
})

test('When the development stack was killed, then its description is not used', async () => {
  const { child, ended } = start(['--help'], {})
  expect(await ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Usage: npm run doctor/) })
  writeDevStack(child.pid!)
  expect(await run([], {})).toMatchObject({ code: 2, stdout: expect.stringMatching(/DATABASE_URL is missing/) })
})

test.each(['SIGINT', 'SIGTERM'] as const)(
  'When %s ends the command, then its test object is deleted, and the exit code is 130',
  async (signal) => {
    const { reached, release } = installation.s3.hold('HEAD', /\.doctor\//)
    const { child, ended } = start(['--json'], installation.env)
    await reached
    child.kill(signal)
    const { code, stdout } = await ended
    release()
    expect(code).toBe(130)
    expect(checksIn(stdout).checks).toContainEqual({ name: 'bucket-delete', result: 'ok', text: expect.any(String) })
  },
)
