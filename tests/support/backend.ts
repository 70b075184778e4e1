// The whole backend for one test file: API and worker as separate processes, with their own database, namespace, bucket and Exotel
// simulator.
import type { Client } from '@temporalio/client'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { once } from 'node:events'
import pg from 'pg'
import { Supervisor } from '../../dev/supervisor.ts'
import { freePort } from '../../dev/ports.ts'
import { startSimulator, type Simulator } from '../../testing/simulator/server.ts'
import { recordingWorkflowId } from '../../contracts/names.ts'
import { openBucket, type Bucket } from './bucket.ts'
import { eventually } from './eventually.ts'
import { randomLooking } from './production.ts'
import { createBucket, createDatabase, createNamespace, dist, home, servers, uniqueName } from './servers.ts'

type ProcessName = 'api' | 'worker'

export interface BackendOptions {
  /** Settings that differ from the tests' defaults. */
  env?: NodeJS.ProcessEnv
  /** Port of a proxy for PostgreSQL, for tests that interrupt the connection. */
  databasePort?: number
  /** The processes to start at once. Default: both. */
  start?: ProcessName[]
}

export interface Backend {
  apiUrl: string
  workerHealthUrl: string
  simulator: Simulator
  /** Connects as the owner of the tables. The processes connect as the application's role. */
  database: pg.Pool
  databaseUrl: string
  temporal: Client
  bucket: Bucket
  mailDirectory: string
  env: NodeJS.ProcessEnv
  /** Starts the process and waits until it is ready. */
  start(name: ProcessName, env?: NodeJS.ProcessEnv): Promise<void>
  /** Starts the process without waiting. */
  launch(name: ProcessName, env?: NodeJS.ProcessEnv): ChildProcess
  /** Sends the signal, and resolves with the exit code or the name of the signal when the process has ended. */
  end(name: ProcessName, signal: NodeJS.Signals): Promise<number | string>
  exited(name: ProcessName): Promise<number | string>
  pid(name: ProcessName): number
  logs(name: ProcessName): string
  spoolFiles(): string[]
  wipeSpool(): void
  callRow(callSid: string): Promise<CallRow | undefined>
  recordingRows(callSid: string): Promise<RecordingRow[]>
  /** Waits until all events of the call are relayed and its workflow has ended, and returns its row. */
  concluded(callSid: string, timeoutMs?: number): Promise<CallRow>
  stop(): Promise<void>
}

interface CallRow {
  call_sid: string
  account_sid: string | null
  status: string | null
  recording_state: string
  recording_url: string | null
  recording_error: string | null
  recording_error_code: string | null
  recording_next_try_at: Date | null
  recording_given_up_at: Date | null
  ended_at: Date | null
  duration_seconds: number | null
}

interface RecordingRow {
  source_url: string
  state: string
  error: string | null
  error_code: string | null
  bucket: string | null
  object_key: string | null
  bytes: string | null
  sha256: string | null
  remark: string | null
  duration_seconds: string | null
  sample_rate: number | null
  channels: number | null
  codec: string | null
  content_type: string | null
}

/** One minute of waiting takes a third of a second. */
const WAIT_SCALE = 1 / 180
export const ACCOUNT = { accountSid: 'acme', apiKey: 'key', apiToken: 'token-of-the-account' }
export const WEBHOOK_SECRET = 'webhook-secret'
/** Strong enough for production: some tests start processes with NODE_ENV=production. */
const WEBHOOK_BASIC = `exotel:${randomLooking('basic')}`

export async function startBackend({ env: own = {}, start = ['api', 'worker'], databasePort }: BackendOptions = {}): Promise<Backend> {
  const [database, namespace, access] = await Promise.all([createDatabase(), createNamespace(), createBucket()])
  const place = join(home, uniqueName('backend'))
  const spool = join(place, 'spool')
  const mailDirectory = join(place, 'mail')
  mkdirSync(spool, { recursive: true })
  mkdirSync(join(place, 'logs')) // the supervisor writes there when a process is started
  const ports = { api: await freePort(0), apiOperations: await freePort(0), workerOperations: await freePort(0) }
  const apiUrl = `http://127.0.0.1:${ports.api}`
  const simulator = await startSimulator({
    ...ACCOUNT,
    apiUrl: () => apiUrl,
    secret: WEBHOOK_SECRET,
    basic: WEBHOOK_BASIC,
    waitScale: WAIT_SCALE,
    port: 0,
  })
  const pool = new pg.Pool({ connectionString: database.url, max: 3 })
  pool.on('error', () => {}) // tests interrupt connections
  const bucket = openBucket(access)
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    NODE_ENV: 'test',
    LOG_LEVEL: 'debug',
    DATABASE_URL: throughPort(database.applicationUrl, databasePort),
    TEMPORAL_ADDRESS: servers.temporal.address,
    TEMPORAL_NAMESPACE: namespace.namespace,
    WASABI_ENDPOINT: access.endpoint,
    WASABI_REGION: access.region,
    WASABI_BUCKET: access.bucket,
    WASABI_ACCESS_KEY: access.accessKeyId,
    WASABI_SECRET_KEY: access.secretAccessKey,
    EXOTEL_WEBHOOK_SECRET: WEBHOOK_SECRET,
    EXOTEL_WEBHOOK_BASIC: WEBHOOK_BASIC,
    EXOTEL_ACCOUNT_SID: ACCOUNT.accountSid,
    EXOTEL_API_KEY: ACCOUNT.apiKey,
    EXOTEL_API_TOKEN: ACCOUNT.apiToken,
    EXOTEL_API_BASE_URL: simulator.url,
    EXOTEL_RECORDING_HOSTS: '127.0.0.1',
    EXOTEL_ALLOW_LOCAL: 'true',
    RECORDING_WAIT_SCALE: String(WAIT_SCALE),
    SPOOL_DIRECTORY: spool,
    // Schedules do not run during a test, unless the test sets another interval.
    RECOVERY_EVERY_MINUTES: '100000',
    RECONCILE_EVERY_MINUTES: '100000',
    LINK_SWEEP_EVERY_MINUTES: '100000',
    SESSION_CLEANUP_EVERY_MINUTES: '100000',
    PEAKS_EVERY_MINUTES: '100000',
    SHUTDOWN_GRACE_SECONDS: '2',
    MAIL_DIRECTORY: mailDirectory,
    RATE_LIMIT_LOGIN: '100000',
    RATE_LIMIT_REGISTRATION: '100000',
    RATE_LIMIT_FORGOT: '100000',
    RATE_LIMIT_MAILS: '100000',
    RATE_LIMIT_GENERAL: '100000',
    RATE_LIMIT_FAILURES: '100000',
    ...own,
  }
  const supervisor = new Supervisor(place)
  const processes = new Map<ProcessName, ReturnType<Supervisor['start']>>()
  const backend: Backend = {
    apiUrl,
    workerHealthUrl: `http://127.0.0.1:${ports.workerOperations}/health`,
    simulator,
    database: pool,
    databaseUrl: database.url,
    temporal: namespace.client,
    bucket,
    mailDirectory,
    env,

    launch(name, more = {}) {
      const child = supervisor.start({
        name,
        file: process.execPath,
        args: [join(dist, name === 'api' ? 'api/main.js' : 'worker.js')],
        cwd: place,
        env: {
          ...env,
          PORT: String(ports.api),
          OPERATIONS_PORT: String(name === 'api' ? ports.apiOperations : ports.workerOperations),
          ...more,
        },
        stopSignal: 'SIGKILL',
      })
      processes.set(name, child)
      return child
    },

    async start(name, more) {
      const child = backend.launch(name, more)
      const url = name === 'api' ? `${apiUrl}/health/ready` : `${backend.workerHealthUrl}/ready`
      await eventually(`${name} to be ready`, async () => {
        if (child.exitCode !== null) throw new Error(`${name} ended: ${backend.logs(name).slice(-2000)}`)
        return (await fetch(url)).ok
      })
    },

    async exited(name) {
      const child = processes.get(name)!
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      return child.signalCode ?? child.exitCode ?? 0
    },

    pid: (name) => processes.get(name)!.pid!,

    end(name, signal) {
      processes.get(name)!.kill(signal)
      return backend.exited(name)
    },

    logs: (name) => (existsSync(supervisor.logOf(name)) ? readFileSync(supervisor.logOf(name), 'utf8') : ''),
    spoolFiles: () => readdirSync(spool).filter((file) => file !== '.lock'),

    wipeSpool() {
      rmSync(spool, { recursive: true })
      mkdirSync(spool)
    },

    async callRow(callSid) {
      return (await pool.query<CallRow>('SELECT * FROM calls WHERE call_sid = $1', [callSid])).rows[0]
    },

    async recordingRows(callSid) {
      return (await pool.query<RecordingRow>('SELECT * FROM recordings WHERE call_sid = $1 ORDER BY id', [callSid])).rows
    },

    async concluded(callSid, timeoutMs = 30_000) {
      await eventually(
        `the workflow of ${callSid} to end`,
        async () => {
          const { rowCount } = await pool.query(`SELECT FROM webhook_events WHERE call_sid = $1 AND relay_state = 'pending'`, [callSid])
          if (rowCount !== 0) return false // an event that is relayed late may start another run
          return (await namespace.client.workflow.getHandle(recordingWorkflowId(callSid)).describe()).status.name !== 'RUNNING'
        },
        timeoutMs,
      )
      return (await backend.callRow(callSid))!
    },

    async stop() {
      await supervisor.stop()
      assertNoSecrets(join(place, 'logs'))
      await simulator.close()
      bucket.close()
      await pool.end()
      await namespace.close()
      await database.drop()
    },
  }
  await Promise.all(start.map((name) => backend.start(name)))
  return backend
}

/** Starts one more API process on the same database, with these settings, and returns its URL when it is ready. */
export async function startAnotherApi(backend: Backend, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const port = await freePort(0)
  backend.launch('api', { ...env, PORT: String(port), OPERATIONS_PORT: String(await freePort(0)) })
  const url = `http://127.0.0.1:${port}`
  await eventually('the API to be ready', async () => (await fetch(`${url}/health/ready`)).ok)
  return url
}

/** Phone numbers, e-mail addresses, passwords, tokens and signatures. They must not appear in the log of any test. */
const SECRETS =
  /9876543210|8045678901|@example\.com|passphrase|eyJ[\w-]+\.|[0-9a-f]{16}\.[\w-]{43}|token-of-the-account|webhook-secret|#token=|\b[0-9a-f]{40}\b/

function assertNoSecrets(logs: string): void {
  for (const file of readdirSync(logs)) {
    const line = readFileSync(join(logs, file), 'utf8')
      .split('\n')
      .find((each) => SECRETS.test(each))
    if (line !== undefined) throw new Error(`A log contains secrets or personal data: ${line.slice(0, 500)}`)
  }
}

function throughPort(text: string, port: number | undefined): string {
  const url = new URL(text)
  if (port !== undefined) url.port = String(port)
  return url.href
}
