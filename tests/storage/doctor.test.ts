// `npm run doctor` on the real servers, with one wrong setting at a time: it names the setting and the reason, the other checks still run,
// and nothing changes.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { Connection } from '@temporalio/client'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { NEEDED_RIGHTS } from '../../cli/doctor/database-rights.ts'
import { CHECK_NAMES } from '../../cli/doctor/run-doctor.ts'
import { readMigrations } from '../../platform/migrations.ts'
import { examine, notOk, openInstallation, type Installation } from '../support/doctor.ts'
import { eventually } from '../support/eventually.ts'
import { startPooler } from '../support/pooler.ts'
import { PRODUCTION } from '../support/production.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { createDatabase, createNamespace, home, servers, uniqueName } from '../support/servers.ts'

const NEWEST = readMigrations().at(-1)!
const CLOSED = '127.0.0.1:1'

let installation: Installation
let exotel: ScriptedServer
/** Run after each test. */
const cleanUps: (() => unknown)[] = []
beforeAll(async () => {
  installation = await openInstallation()
  exotel = await startScriptedServer()
})
afterAll(async () => {
  await exotel?.close()
  await installation?.close()
})

let before: object
beforeEach(async () => {
  installation.s3.reset()
  before = await installation.state()
})
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp()
  expect(await installation.state()).toEqual(before)
})

interface Expected {
  /** The check that fails. */
  name: string
  setting?: string
  text: RegExp
  /** Results of other checks that are not `ok`. */
  others?: Record<string, string>
}

/** Settings that differ from the right ones; undefined removes a setting. */
type Changes = Record<string, string | undefined>

async function diagnose(changes: Changes): ReturnType<typeof examine> {
  const diagnosis = await examine({ ...installation.env, ...changes })
  expect([...new Set(diagnosis.findings.map(({ name }) => name))]).toEqual(CHECK_NAMES)
  for (const secret of secretsIn({ ...installation.env, ...changes })) expect(diagnosis.output).not.toContain(secret)
  return diagnosis
}

/** What must never be printed. */
function secretsIn(env: Changes): string[] {
  const urls = [env.DATABASE_URL, env.MIGRATION_DATABASE_URL, env.SMTP_URL].filter((url) => url !== undefined && URL.canParse(url))
  const passwords = urls.map((url) => new URL(url!).password)
  const names = [
    'WASABI_ACCESS_KEY',
    'WASABI_SECRET_KEY',
    'EXOTEL_API_KEY',
    'EXOTEL_API_TOKEN',
    'EXOTEL_WEBHOOK_SECRET',
    'EXOTEL_WEBHOOK_BASIC',
  ]
  return [...passwords, ...names.map((name) => env[name])].filter((secret) => secret !== undefined && secret.length > 5) as string[]
}

/** Examines with these changes, and expects that this one check fails, and no other. */
async function expectFault(changes: Changes, { name, setting, text, others = {} }: Expected): Promise<void> {
  const { code, findings } = await diagnose(changes)
  expect(findings.find((each) => each.name === name && each.result === 'error')).toEqual({
    name,
    result: 'error',
    text: expect.stringMatching(text),
    ...(setting !== undefined && { setting }),
  })
  expect(notOk(findings)).toEqual({ 'production-settings': 'skipped', ...others, [name]: 'error' })
  expect(code).toBe(1)
}

function skippedAll(...names: string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, 'skipped']))
}

const databaseUrl = (changes: Partial<URL>): Changes => ({
  DATABASE_URL: Object.assign(new URL(installation.env.DATABASE_URL!), changes).href,
})

async function asOwner(url: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  for (const sql of statements) await client.query(sql).catch((error: unknown) => client.end().then(() => Promise.reject(error)))
  await client.end()
}

test('When all settings are right, then every check is ok, and the exit code is 0', async () => {
  const { code, findings } = await diagnose({})
  expect(notOk(findings)).toEqual({ 'production-settings': 'skipped' })
  expect(code).toBe(0)
})

test('When the command runs, then its requests to the bucket change nothing but objects under its own prefix', async () => {
  await diagnose({})
  const changing = installation.s3.requests.filter(({ method }) => !['GET', 'HEAD'].includes(method))
  expect(changing.length).toBeGreaterThan(4)
  const prefix = `/${installation.env.WASABI_BUCKET}/recordings/.doctor/`
  expect(changing.filter(({ url }) => !url.startsWith(prefix))).toEqual([])
})

describe('PostgreSQL', () => {
  const dependent = skippedAll('database-time-zone', 'database-migrations', 'database-rights')

  test('When the password is wrong, then the text names DATABASE_URL', () =>
    expectFault(databaseUrl({ password: 'wrong-password' }), {
      name: 'database',
      setting: 'DATABASE_URL',
      text: /rejects the role or its password/,
      others: dependent,
    }))

  test('When the database does not exist, then the text says so', () =>
    expectFault(
      { ...databaseUrl({ pathname: '/nowhere' }), MIGRATION_DATABASE_URL: undefined },
      {
        name: 'database',
        setting: 'DATABASE_URL',
        text: /The database does not exist/,
        others: { ...dependent, 'migration-database': 'skipped' },
      },
    ))

  test('When no server is at the address, then the text says so', () =>
    expectFault(databaseUrl({ host: CLOSED }), {
      name: 'database',
      setting: 'DATABASE_URL',
      text: /PostgreSQL cannot be reached: .*connect ECONNREFUSED/,
      others: dependent,
    }))

  test('When a migration is missing, then the text names it and the command', async () => {
    const { url, applicationUrl, drop } = await createDatabase()
    cleanUps.push(drop)
    await asOwner(url, `DELETE FROM _prisma_migrations WHERE migration_name = '${NEWEST}'`)
    await expectFault(
      { DATABASE_URL: applicationUrl, MIGRATION_DATABASE_URL: url },
      { name: 'database-migrations', text: new RegExp(`lacks the migrations ${NEWEST} .*npm run migrate`) },
    )
  })

  test('When a connection pooler ignores the time zone of the connection, then the text names the zone', async () => {
    const { url, applicationUrl, drop } = await createDatabase()
    cleanUps.push(drop)
    await asOwner(url, `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET TimeZone = 'Asia/Kolkata'`)
    const { hostname, port } = new URL(applicationUrl)
    const pooler = await startPooler(hostname, Number(port))
    cleanUps.push(() => pooler.close())
    const pooled = Object.assign(new URL(applicationUrl), { port: String(pooler.port) }).href
    await expectFault(
      { DATABASE_URL: pooled, MIGRATION_DATABASE_URL: url },
      { name: 'database-time-zone', setting: 'DATABASE_URL', text: /time zone is Asia\/Kolkata, not UTC/ },
    )
  })

  test('When the role has no rights, then the text names the role, what it lacks, and the group', async () => {
    const role = uniqueName('outsider').replaceAll('-', '_')
    await asOwner(servers.databaseUrl, `CREATE ROLE ${role} LOGIN PASSWORD 'of-this-test'`)
    cleanUps.push(() => asOwner(servers.databaseUrl, `DROP ROLE ${role}`))
    await expectFault(databaseUrl({ username: role, password: 'of-this-test' }), {
      name: 'database-rights',
      setting: 'DATABASE_URL',
      text: new RegExp(`The role ${role} lacks rights: SELECT on .*caly_app`),
      others: { 'database-migrations': 'error' },
    })
  })

  test('When the role lacks a single right, then the text names it', async () => {
    const { url, applicationUrl, drop } = await createDatabase()
    cleanUps.push(drop)
    await asOwner(url, 'REVOKE INSERT ON webhook_events FROM caly_app')
    await expectFault(
      { DATABASE_URL: applicationUrl, MIGRATION_DATABASE_URL: url },
      { name: 'database-rights', setting: 'DATABASE_URL', text: /lacks rights: INSERT on webhook_events\. / },
    )
  })

  test('When migrations go to another database, then the text names both', async () => {
    const other = await createDatabase()
    cleanUps.push(other.drop)
    await expectFault(
      { MIGRATION_DATABASE_URL: other.url },
      {
        name: 'migration-database',
        setting: 'MIGRATION_DATABASE_URL',
        text: new RegExp(
          `${new URL(other.url).pathname.slice(1)}, but DATABASE_URL names ${new URL(installation.database.url).pathname.slice(1)}`,
        ),
      },
    )
  })

  test('When migrations use a role that does not own the tables, then the text says so', () =>
    expectFault(
      { MIGRATION_DATABASE_URL: installation.env.DATABASE_URL },
      { name: 'migration-database', setting: 'MIGRATION_DATABASE_URL', text: /The role caly does not own the tables/ },
    ))

  test('When a migration grants a right, then the check knows it', async () => {
    const client = new pg.Client({ connectionString: installation.env.DATABASE_URL })
    await client.connect()
    const { rows } = await client.query<{ name: string; rights: string[] }>(
      `SELECT relname AS name, array_remove(ARRAY[
         CASE WHEN has_any_column_privilege(oid, 'SELECT') THEN 'SELECT' END, CASE WHEN has_any_column_privilege(oid, 'INSERT') THEN 'INSERT' END,
         CASE WHEN has_any_column_privilege(oid, 'UPDATE') THEN 'UPDATE' END, CASE WHEN has_table_privilege(oid, 'DELETE') THEN 'DELETE' END], NULL) AS rights
       FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname`,
    )
    await client.end()
    expect(Object.fromEntries(rows.map(({ name, rights }) => [name, rights.join(' ')]))).toEqual(NEEDED_RIGHTS)
  })
})

describe('Temporal', () => {
  test('When no server is at the address, then the text names TEMPORAL_ADDRESS', () =>
    expectFault(
      { TEMPORAL_ADDRESS: CLOSED },
      {
        name: 'temporal',
        setting: 'TEMPORAL_ADDRESS',
        text: new RegExp(`Temporal does not respond at ${CLOSED}`),
        others: skippedAll('temporal-namespace', 'temporal-search-attributes', 'temporal-schedules'),
      },
    ))

  test('When the namespace does not exist, then the text names it and the command', () =>
    expectFault(
      { TEMPORAL_NAMESPACE: 'nowhere' },
      {
        name: 'temporal-namespace',
        setting: 'TEMPORAL_NAMESPACE',
        text: /The namespace nowhere does not exist: run `npm run temporal:setup`/,
        others: skippedAll('temporal-search-attributes', 'temporal-schedules'),
      },
    ))

  test('When the namespace lacks search attributes, then the text names them', async () => {
    const namespace = uniqueName('bare')
    const connection = await Connection.connect({ address: servers.temporal.address })
    cleanUps.push(() => connection.close())
    const workflowExecutionRetentionPeriod = { seconds: (30 * 24 * 3600) as never } // the types want a Long
    await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod })
    await eventually('the namespace to be visible', () => connection.operatorService.listSearchAttributes({ namespace }))
    await expectFault(
      { TEMPORAL_NAMESPACE: namespace },
      {
        name: 'temporal-search-attributes',
        setting: 'TEMPORAL_NAMESPACE',
        text: /lacks the search attributes CallSid, RecordingState, FailureCode: run `npm run temporal:setup`/,
        others: { 'temporal-schedules': 'warning' },
      },
    )
  })

  test('When no worker has created the schedules yet, or one is paused, then a warning names them, and the exit code is 0', async () => {
    const { namespace, client, close } = await createNamespace()
    cleanUps.push(close)
    const { findings, code } = await diagnose({ TEMPORAL_NAMESPACE: namespace })
    expect(findings).toContainEqual({
      name: 'temporal-schedules',
      result: 'warning',
      text: expect.stringMatching(/missing: recovery, reconcile, /),
    })
    expect(code).toBe(0)
    expect(await client.workflow.count()).toMatchObject({ count: 0 })
  })
})

describe('Exotel', () => {
  const json =
    (status: number, body: object): Answer =>
    (_request, response) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  const emptyList = json(200, { Metadata: { Total: 0, NextPageUri: null }, Calls: [] })

  test('When the token is wrong, then the text names it', () =>
    expectFault(
      { EXOTEL_API_TOKEN: 'wrong-token' },
      { name: 'exotel-api', setting: 'EXOTEL_API_TOKEN', text: /Exotel rejects the key .*401/ },
    ))

  test('When Exotel does not know the account, then the text names it and the region', async () => {
    exotel.script(json(404, { RestException: { Status: 404 } }))
    await expectFault(
      { EXOTEL_API_BASE_URL: exotel.url, EXOTEL_ACCOUNT_SID: 'unknown' },
      { name: 'exotel-api', setting: 'EXOTEL_ACCOUNT_SID', text: /does not know the account .*404.*https:\/\/api\.in\.exotel\.com/ },
    )
  })

  test('When the address is of another service, such as a wrong region, then the text names EXOTEL_API_BASE_URL', async () => {
    exotel.script((_request, response) => response.writeHead(302, { location: 'https://exotel.com/' }).end())
    await expectFault(
      { EXOTEL_API_BASE_URL: exotel.url },
      { name: 'exotel-api', setting: 'EXOTEL_API_BASE_URL', text: /not one of Exotel's API .*https:\/\/api\.in\.exotel\.com/ },
    )
  })

  test('When the API does not respond, then the text names EXOTEL_API_BASE_URL', () =>
    expectFault(
      { EXOTEL_API_BASE_URL: `http://${CLOSED}` },
      { name: 'exotel-api', setting: 'EXOTEL_API_BASE_URL', text: /Exotel's API does not respond: .*connect ECONNREFUSED/ },
    ))

  test.each([
    ['the account has no calls', emptyList, 'EXOTEL_ACCOUNT_SID', /lists no call of the last 30 days/],
    ['the limit of requests is used up', json(429, {}), undefined, /responded 429/],
  ])('When %s, then this is a warning, after one request', async (_what, answer, setting, text) => {
    exotel.script(answer)
    const { findings, code } = await diagnose({ EXOTEL_API_BASE_URL: exotel.url })
    expect(findings).toContainEqual({
      name: 'exotel-api',
      result: 'warning',
      text: expect.stringMatching(text),
      ...(setting !== undefined && { setting }),
    })
    expect(code).toBe(0)
    expect(exotel.requests).toHaveLength(1)
  })

  test('When no webhook authentication is configured, then the text says what to set', () =>
    expectFault(
      { EXOTEL_WEBHOOK_SECRET: undefined, EXOTEL_WEBHOOK_BASIC: '' },
      { name: 'webhook-authentication', setting: 'EXOTEL_WEBHOOK_BASIC', text: /every webhook is rejected: set EXOTEL_WEBHOOK_BASIC/ },
    ))

  test.each([
    ['EXOTEL_RECORDING_HOSTS', 'localhost', /from localhost: .*loopback address/],
    ['EXOTEL_PUBLIC_RECORDING_HOSTS', 'host.invalid', /from host\.invalid: /],
  ])('When %s names %s, from which nothing can be downloaded, then the text names both', (setting, host, text) =>
    expectFault(
      { EXOTEL_ALLOW_LOCAL: undefined, EXOTEL_RECORDING_HOSTS: undefined, [setting]: host },
      { name: 'recording-hosts', setting, text },
    ),
  )
})

describe('Mail', () => {
  test('When the mail server does not respond, then the text names SMTP_URL', () =>
    expectFault(
      { SMTP_URL: `smtp://caly:right@${CLOSED}` },
      { name: 'mail', setting: 'SMTP_URL', text: /cannot be reached: connect ECONNREFUSED/ },
    ))

  test('When the mail server rejects the password, then the text says so', () =>
    expectFault(
      { SMTP_URL: installation.mail.url.replace(':right@', ':wrong-password@') },
      { name: 'mail', setting: 'SMTP_URL', text: /rejects the user or the password/ },
    ))

  test('When no mail server is configured, then the check is skipped, and the exit code is 0', async () => {
    const { findings, code } = await diagnose({ SMTP_URL: undefined })
    expect(notOk(findings)).toEqual({ 'production-settings': 'skipped', mail: 'skipped' })
    expect(code).toBe(0)
  })
})

describe('Spool', () => {
  test('When the spool cannot be written to, then the text names its directory', async () => {
    const file = join(home, uniqueName('file'))
    writeFileSync(file, '')
    await expectFault(
      { SPOOL_DIRECTORY: join(file, 'spool') },
      {
        name: 'spool',
        setting: 'SPOOL_DIRECTORY',
        text: new RegExp(`A worker cannot write to ${file}/spool: ENOTDIR`),
        others: skippedAll('spool-space', 'spool-lock'),
      },
    )
  })

  test('When the directory does not exist yet, then it is not created', async () => {
    const folder = join(installation.env.SPOOL_DIRECTORY!, 'of', 'a-worker')
    const { findings } = await diagnose({ SPOOL_DIRECTORY: folder })
    expect(findings).toContainEqual({ name: 'spool', result: 'ok', text: expect.stringContaining('a worker can create it') })
  })

  test('When the largest recording does not fit, then the text names both limits', () =>
    expectFault(
      { SPOOL_MAX_BYTES: '999999999' },
      { name: 'spool-space', setting: 'SPOOL_MAX_BYTES', text: /SPOOL_MAX_BYTES \(999999999 bytes\) is smaller than RECORDING_MAX_BYTES/ },
    ))

  test('When the disk is too full for a download, then the text says so', () =>
    expectFault(
      { SPOOL_MIN_FREE_BYTES: '1000000000000000' },
      { name: 'spool-space', setting: 'SPOOL_DIRECTORY', text: /fewer than SPOOL_MIN_FREE_BYTES/ },
    ))

  test('When the disk is smaller than the spool may become, then this is a warning', async () => {
    const { findings, code } = await diagnose({ SPOOL_MAX_BYTES: '1000000000000000' })
    expect(findings).toContainEqual({
      name: 'spool-space',
      result: 'warning',
      text: expect.stringMatching(/fewer than SPOOL_MAX_BYTES/),
      setting: 'SPOOL_MAX_BYTES',
    })
    expect(code).toBe(0)
  })
})

describe('Settings', () => {
  test('When a setting cannot be read, then the exit code is 2, and the checks that do not need it run', async () => {
    const { code, findings, output } = await diagnose({ PORT: 'secret-port' })
    expect(findings[0]).toEqual({
      name: 'settings',
      result: 'error',
      text: expect.stringMatching(/^PORT must be a whole number/),
      setting: 'PORT',
    })
    expect(notOk(findings)).toEqual({ settings: 'error', 'production-settings': 'skipped' })
    expect(code).toBe(2)
    expect(output).not.toContain('secret-port')
  })

  test('When settings are missing, then each is named, and only the checks that need them are skipped', async () => {
    const { code, findings } = await diagnose({ DATABASE_URL: undefined, EXOTEL_API_KEY: ' ' })
    const named = findings.filter(({ name }) => name === 'settings').map(({ setting, text }) => [setting, text])
    expect(named).toEqual([
      ['DATABASE_URL', 'DATABASE_URL is missing.'],
      ['EXOTEL_API_KEY', 'EXOTEL_API_KEY is missing.'],
    ])
    const database = ['database', 'database-time-zone', 'database-migrations', 'database-rights', 'migration-database']
    expect(notOk(findings)).toEqual({ settings: 'error', ...skippedAll('production-settings', 'exotel-api', ...database) })
    expect(code).toBe(2)
  })

  test('When settings contradict each other, then the exit code is 1, because API and worker do not start', () =>
    expectFault({ PUBLIC_URL: undefined }, { name: 'settings', setting: 'PUBLIC_URL', text: /^PUBLIC_URL is missing: links in mails/ }))

  test('When production refuses settings, then each is named, and the connections are checked', async () => {
    const { code, findings, output } = await diagnose({ NODE_ENV: undefined, ALLOW_OLD_NODE: 'true', RECORDING_WAIT_SCALE: '0.5' })
    const refused = findings.filter(({ name }) => name === 'production-settings')
    expect(refused.map(({ setting }) => setting)).toEqual(
      expect.arrayContaining(['WASABI_ENDPOINT', 'EXOTEL_API_BASE_URL', 'EXOTEL_ALLOW_LOCAL', 'RECORDING_WAIT_SCALE']),
    )
    for (const { result, text, setting } of refused)
      expect({ result, text }).toEqual({ result: 'error', text: expect.stringContaining(setting!) })
    expect(notOk(findings)).toEqual({ 'production-settings': 'error' })
    expect(code).toBe(1)
    expect(output).not.toContain(installation.s3.url)
  })

  test('When production accepts the settings, then the text says so', async () => {
    const { findings } = await diagnose({
      ...PRODUCTION,
      WASABI_ENDPOINT: `https://${CLOSED}`,
      EXOTEL_API_BASE_URL: `https://${CLOSED}`,
      SMTP_URL: '',
    })
    expect(findings).toContainEqual({ name: 'production-settings', result: 'ok', text: 'Production accepts the settings.' })
  })

  const isOldNode = Number(process.versions.node.split('.')[0]) < 22
  ;(isOldNode ? test : test.skip)('When Node is too old for production, then the text says so', async () => {
    const { findings } = await diagnose({ NODE_ENV: 'production' })
    expect(findings).toContainEqual({ name: 'node', result: 'error', text: expect.stringMatching(/production needs Node 22 or later/) })
  })
})

test('When several settings are wrong, then each fault is found', async () => {
  const { code, findings } = await diagnose({
    ...databaseUrl({ password: 'wrong-password' }),
    TEMPORAL_NAMESPACE: 'nowhere',
    WASABI_SECRET_KEY: 'wrong-secret',
    EXOTEL_API_TOKEN: 'wrong-token',
    SMTP_URL: `smtp://${CLOSED}`,
    SPOOL_MAX_BYTES: '1',
  })
  const faulty = findings.filter(({ result }) => result === 'error').map(({ setting }) => setting)
  expect(faulty).toEqual(['DATABASE_URL', 'TEMPORAL_NAMESPACE', 'WASABI_SECRET_KEY', 'EXOTEL_API_TOKEN', 'SMTP_URL', 'SPOOL_MAX_BYTES'])
  expect(code).toBe(1)
})

test('When a server accepts connections and never responds, then its check ends at the time limit, and the others are complete', async () => {
  const sockets: Socket[] = []
  const silent = createServer((socket) => void sockets.push(socket.on('error', () => {})))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`
  const changes = { EXOTEL_API_BASE_URL: `http://${address}`, WASABI_ENDPOINT: `http://${address}`, TEMPORAL_ADDRESS: address }
  const { findings } = await examine({ ...installation.env, ...changes }, { timeLimitMs: 1000 })
  const faulty = findings.filter(({ result }) => result === 'error')
  expect(faulty.map(({ name, setting }) => [name, setting])).toEqual([
    ['temporal', 'TEMPORAL_ADDRESS'],
    ['bucket', 'WASABI_ENDPOINT'],
    ['exotel-api', 'EXOTEL_API_BASE_URL'],
  ])
  for (const { text } of faulty) expect(text).toMatch(/No answer within 1000 ms|cannot be reached|does not respond/)
})

test('When a check is added or renamed, then docs/operations.md has its name', () => {
  const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  const table = page.split('\n\n').find((part) => part.startsWith('| check '))!
  const names = [...table.matchAll(/^\| (`.+?`) +\|/gm)].flatMap(([, cell]) => [...cell!.matchAll(/`([^`]+)`/g)].map(([, name]) => name))
  expect(names).toEqual(CHECK_NAMES)
})
