// API, worker and migrations connect to PostgreSQL over TLS, and report an error if its certificate cannot be verified.
import { execFile as execFileCallback, execFileSync, spawnSync } from 'node:child_process'
import { chownSync, copyFileSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { pino } from 'pino'
import { Supervisor } from '../../dev/supervisor.ts'
import { startPostgres, type DatabaseUrls } from '../../dev/postgres.ts'
import { assertMigrated, connectDatabase } from '../../platform/database.ts'
import { readMigrations } from '../../platform/migrations.ts'
import { eventually } from '../support/eventually.ts'
import { dist, home, uniqueName } from '../support/servers.ts'

const execFile = promisify(execFileCallback)
const root = fileURLToPath(new URL('../..', import.meta.url))
const place = join(home, uniqueName('tls'))
const certificate = join(place, 'certificate.pem')

let supervisor: Supervisor
let urls: DatabaseUrls

/** The server's certificate is self-signed and issued for `localhost`. */
beforeAll(async () => {
  mkdirSync(place)
  const key = join(place, 'key.pem')
  const made = ['-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  execFileSync('openssl', ['req', '-x509', ...made, '-keyout', key, '-out', certificate], { stdio: 'ignore' })
  supervisor = new Supervisor(place)
  const postgres = join(place, 'postgres')
  urls = await startPostgres(supervisor, { home: postgres, port: 0, durable: false })
  const data = join(postgres, 'data')
  for (const [from, to] of [
    [key, join(data, 'server.key')],
    [certificate, join(data, 'server.crt')],
  ] as const) {
    copyFileSync(from, to)
    chownSync(to, statSync(data).uid, statSync(data).gid)
  }
  await turnOnTls(readFileSync(join(postgres, 'password'), 'utf8'))
})
afterAll(() => supervisor?.stop())

async function turnOnTls(password: string): Promise<void> {
  const url = Object.assign(new URL(urls.owner), { username: 'postgres', password })
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  await client.query('ALTER SYSTEM SET ssl = on')
  await client.query('SELECT pg_reload_conf()')
  await eventually('TLS to be on', async () => (await client.query('SHOW ssl')).rows[0].ssl === 'on')
  await client.end()
}

function urlOf(role: keyof DatabaseUrls, host: string, parameters: Record<string, string>): string {
  const url = Object.assign(new URL(urls[role]), { hostname: host })
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return url.href
}

async function deploy(url: string, more: NodeJS.ProcessEnv = {}): Promise<{ code: number; output: string }> {
  const env = { ...process.env, MIGRATION_DATABASE_URL: url, ...more }
  return execFile(process.execPath, ['node_modules/prisma/build/index.js', 'migrate', 'deploy'], { cwd: root, env }).then(
    ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({ code: error.code, output: error.stdout + error.stderr }),
  )
}

async function ofApplication<T>(url: string, work: (database: ReturnType<typeof connectDatabase>) => Promise<T>): Promise<T> {
  const database = connectDatabase({ url, poolSize: 1, logger: pino({ level: 'silent' }) })
  return work(database).finally(() => database.$disconnect())
}

test('When the certificate is named by sslrootcert, then migrations and application use TLS', async () => {
  const verified = { sslmode: 'verify-full', sslrootcert: certificate }
  expect(await deploy(urlOf('owner', 'localhost', verified))).toMatchObject({ code: 0 })
  await ofApplication(urlOf('application', 'localhost', verified), async (database) => {
    await assertMigrated(database, readMigrations())
    expect(await database.$queryRaw`SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`).toEqual([{ ssl: true }])
  })
})

test('When the URL has sslmode=disable or no sslmode, then neither uses TLS', async () => {
  for (const parameters of [{}, { sslmode: 'disable' }] as Record<string, string>[]) {
    expect(await deploy(urlOf('owner', 'localhost', parameters))).toMatchObject({ code: 0 })
    await ofApplication(urlOf('application', 'localhost', parameters), async (database) => {
      expect(await database.$queryRaw`SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`).toEqual([{ ssl: false }])
    })
  }
})

test.each([
  ['is signed by itself', 'localhost', { sslmode: 'require' }, /self.signed certificate/],
  ['is signed by itself', 'localhost', { sslmode: 'verify-full' }, /self.signed certificate/],
  ['is made out to another host', '127.0.0.1', { sslmode: 'verify-full', sslrootcert: certificate }, /altnames/],
])('When the certificate %s, then migrations and application say so', async (_problem, host, parameters, problem) => {
  const { code, output } = await deploy(urlOf('owner', host, parameters))
  expect(output).toMatch(problem)
  expect(output).toMatch(/TLS/)
  expect(output).not.toMatch(/SyntaxError|Could not parse/)
  expect(output).not.toContain(new URL(urls.owner).password)
  expect(code).toBe(1)
  await ofApplication(urlOf('application', host, parameters), (database) =>
    expect(assertMigrated(database, readMigrations())).rejects.toThrow(problem),
  )
  const env = { ...process.env, DATABASE_URL: urlOf('application', host, parameters) }
  const accounts = spawnSync(process.execPath, [join(dist, 'cli', 'accounts.js'), 'new-signing-key'], { env, encoding: 'utf8' })
  expect(accounts).toMatchObject({ status: 1, stderr: expect.stringMatching(problem) })
})

test('When the URL has a parameter that only one of them understands, then migrate deploy names it and not the URL', async () => {
  const { code, output } = await deploy(urlOf('owner', 'localhost', { schema: 'caly' }))
  expect(output).toContain('MIGRATION_DATABASE_URL has the parameter schema')
  expect(output).not.toContain(new URL(urls.owner).password)
  expect(code).toBe(1)
})

test('When Node.js prints a warning for the engine, then the error about the certificate is still shown', async () => {
  const { output } = await deploy(urlOf('owner', 'localhost', { sslmode: 'require' }), { NODE_TLS_REJECT_UNAUTHORIZED: '0' })
  expect(output).toMatch(/self.signed certificate/)
  expect(output).not.toMatch(/SyntaxError|Could not parse/)
})
