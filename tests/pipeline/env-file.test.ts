// `.env` in the working directory: read by the commands that people start, and never by tests and the development stack.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { dist, home, uniqueName } from '../support/servers.ts'

const folder = join(home, uniqueName('env-file'))
beforeAll(() => mkdirSync(folder))
afterEach(() => rmSync(join(folder, '.env'), { recursive: true, force: true }))
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs a command in the folder, with nothing in its environment but `env`. */
async function run(command: string, env: NodeJS.ProcessEnv = {}): Promise<{ code: number | null; said: string }> {
  const [file = '', ...args] = command.split(' ')
  const child = spawn(process.execPath, [join(dist, file), ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH, ...env },
    timeout: 30_000,
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (said += bytes.toString()))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, said }
}

const COMMANDS: [command: string, env: string, message: RegExp][] = [
  ['api/main.js', 'PORT=not-a-port', /PORT must be a whole number/],
  ['worker.js', 'PORT=not-a-port', /PORT must be a whole number/],
  ['cli/admin.js activate a@example.com', 'DATABASE_URL=postgresql://nobody@127.0.0.1:1/nothing', /PostgreSQL does not respond/],
  ['cli/backfill.js --from 2026-06-01', 'TEMPORAL_TLS=perhaps', /TEMPORAL_TLS/],
  ['cli/temporal-setup.js', 'TEMPORAL_TLS=perhaps', /TEMPORAL_TLS/],
]

test.each(COMMANDS)('When %s is started where .env says %s, then it obeys', async (command, env, message) => {
  writeFileSync(join(folder, '.env'), env)
  expect(await run(command)).toMatchObject({ code: 1, said: expect.stringMatching(message) })
})

test.each(COMMANDS.filter(([command]) => !/admin/.test(command)))(
  'When %s is started with that variable in its environment, then the environment wins over .env with %s',
  async (command, env, message) => {
    writeFileSync(join(folder, '.env'), env)
    const real = { PORT: '3000', TEMPORAL_TLS: 'false', TEMPORAL_ADDRESS: 'not an address' }
    const { code, said } = await run(command, real)
    expect(code).toBe(1)
    expect(said).toMatch(/TEMPORAL_ADDRESS must be host:port/)
    expect(said).not.toMatch(message)
  },
)

test('When there is no .env, then the environment alone counts', async () => {
  expect((await run('api/main.js')).said).toMatch(/DATABASE_URL is missing/)
})

test('When .env cannot be read, then the process says so and does not start', async () => {
  mkdirSync(join(folder, '.env'))
  for (const [command] of COMMANDS)
    expect(await run(command)).toEqual({
      code: 1,
      said: expect.stringMatching(/^The file \.env in the working directory cannot be read: \w+\.\n$/),
    })
})

test('When tests or the development stack start a process, then it never reads .env', async () => {
  expect(process.env.NO_ENV_FILE).toBe('true') // what startServers sets, and what each process inherits
  for (const [command, env, message] of COMMANDS) {
    writeFileSync(join(folder, '.env'), env)
    const { said } = await run(command, { NO_ENV_FILE: process.env.NO_ENV_FILE, TEMPORAL_ADDRESS: 'not an address' })
    expect(said).not.toMatch(message)
  }
})

test('When an image is built, then it contains no .env', () => {
  expect(readFileSync(new URL('../../.dockerignore', import.meta.url), 'utf8').split('\n')).toContain('.env*')
})
