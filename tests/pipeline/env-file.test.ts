// `.env` in the working directory is read by commands that operators start, and never by tests or the development stack.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { dist, home, uniqueName } from '../support/servers.ts'

const folder = join(home, uniqueName('env-file'))
beforeAll(() => mkdirSync(folder))
afterEach(() => rmSync(join(folder, '.env'), { recursive: true, force: true }))
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs a command in the folder with only `env` in its environment. */
async function run(command: string, env: NodeJS.ProcessEnv = {}): Promise<{ code: number | null; output: string }> {
  const [file = '', ...args] = command.split(' ')
  const child = spawn(process.execPath, [join(dist, file), ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH, ...env },
    timeout: 30_000,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, output }
}

const COMMANDS: [command: string, env: string, message: RegExp][] = [
  ['api/main.js', 'PORT=not-a-port', /PORT must be a whole number/],
  ['worker.js', 'PORT=not-a-port', /PORT must be a whole number/],
  ['cli/accounts.js activate a@example.com', 'DATABASE_URL=postgresql://nobody@127.0.0.1:1/nothing', /PostgreSQL does not respond/],
  ['cli/backfill.js --from 2026-06-01', 'TEMPORAL_TLS=perhaps', /TEMPORAL_TLS/],
  ['cli/temporal-setup.js', 'TEMPORAL_TLS=perhaps', /TEMPORAL_TLS/],
]

test.each(COMMANDS)('When %s is started in a folder whose .env has %s, then the command uses it', async (command, env, message) => {
  writeFileSync(join(folder, '.env'), env)
  expect(await run(command)).toMatchObject({ code: 1, output: expect.stringMatching(message) })
})

test.each(COMMANDS.filter(([command]) => !/accounts/.test(command)))(
  'When %s is started with the variable in its environment, then .env with %s is ignored',
  async (command, env, message) => {
    writeFileSync(join(folder, '.env'), env)
    const real = { PORT: '3000', TEMPORAL_TLS: 'false', TEMPORAL_ADDRESS: 'not an address' }
    const { code, output } = await run(command, real)
    expect(code).toBe(1)
    expect(output).toMatch(/TEMPORAL_ADDRESS must be host:port/)
    expect(output).not.toMatch(message)
  },
)

test('When there is no .env, then only the environment is used', async () => {
  expect((await run('api/main.js')).output).toMatch(/DATABASE_URL is missing/)
})

test('When .env cannot be read, then the process does not start and its message says so', async () => {
  mkdirSync(join(folder, '.env'))
  for (const [command] of COMMANDS)
    expect(await run(command)).toEqual({
      code: 1,
      output: expect.stringMatching(/^The file \.env in the working directory cannot be read: \w+\.\n$/),
    })
})

test('When tests or the development stack start a process, then it never reads .env', async () => {
  expect(process.env.NO_ENV_FILE).toBe('true') // set by startServers and inherited by each process
  for (const [command, env, message] of COMMANDS) {
    writeFileSync(join(folder, '.env'), env)
    const { output } = await run(command, { NO_ENV_FILE: process.env.NO_ENV_FILE, TEMPORAL_ADDRESS: 'not an address' })
    expect(output).not.toMatch(message)
  }
})

test('When an image is built, then it contains no .env', () => {
  expect(readFileSync(new URL('../../.dockerignore', import.meta.url), 'utf8').split('\n')).toContain('.env*')
})
