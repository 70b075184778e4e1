// A complete installation on the servers of the test run, and `npm run doctor` on it with other settings.
import type { Connection } from '@temporalio/client'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import type { Finding } from '../../cli/doctor/check.ts'
import { runDoctor, type DoctorOptions } from '../../cli/doctor/run-doctor.ts'
import { readConfig } from '../../platform/config.ts'
import { missingSearchAttributes } from '../../temporal/namespace.ts'
import { ensureSchedules } from '../../temporal/schedules.ts'
import { startSimulator } from '../../testing/simulator/server.ts'
import { openBucket } from './bucket.ts'
import { startFaultyS3, type FaultyS3 } from './faulty-s3.ts'
import { startMailServer, type MailServer } from './mail-server.ts'
import { randomLooking } from './production.ts'
import { RECORDING_WORKFLOW } from '../../contracts/names.ts'
import { createBucket, createDatabase, createNamespace, home, servers, uniqueName, type TestDatabase } from './servers.ts'

export interface Installation {
  /** Settings with which every check succeeds. */
  env: NodeJS.ProcessEnv
  database: TestDatabase
  /** A proxy in front of the bucket's server. */
  s3: FaultyS3
  mail: MailServer
  /** Everything that the command must not change. */
  state(): Promise<object>
  close(): Promise<void>
}

export interface Diagnosis {
  code: number
  findings: Finding[]
  /** What was printed to stdout and stderr. */
  output: string
}

const ACCOUNT = { accountSid: 'acme', apiKey: randomLooking('identity'), apiToken: randomLooking('exotel') }
const BASIC = `exotel:${randomLooking('basic')}`
const SPOOL = { SPOOL_MAX_BYTES: '2000000000', SPOOL_MIN_FREE_BYTES: '1000000', RECORDING_MAX_BYTES: '1000000000' }

export async function openInstallation(): Promise<Installation> {
  const [database, namespace, access] = await Promise.all([createDatabase(), createNamespace(), createBucket()])
  const [s3, mail] = await Promise.all([startFaultyS3(), startMailServer()])
  const secret = randomLooking('webhook')
  const simulator = await startSimulator({ ...ACCOUNT, apiUrl: () => '', secret, basic: BASIC, waitScale: 1, port: 0 })
  simulator.call({ fault: 'none', status: 'completed', untold: true })
  const spool = join(home, uniqueName('spool'))
  mkdirSync(spool)
  const bucket = openBucket(access)
  const owner = new pg.Pool({ connectionString: database.url, max: 1 })
  const env: NodeJS.ProcessEnv = {
    NODE_ENV: 'test',
    DATABASE_URL: database.applicationUrl,
    MIGRATION_DATABASE_URL: database.url,
    TEMPORAL_ADDRESS: servers.temporal.address,
    TEMPORAL_NAMESPACE: namespace.namespace,
    WASABI_ENDPOINT: s3.url,
    WASABI_REGION: access.region,
    WASABI_BUCKET: access.bucket,
    WASABI_ACCESS_KEY: access.accessKeyId,
    WASABI_SECRET_KEY: access.secretAccessKey,
    EXOTEL_WEBHOOK_SECRET: secret,
    EXOTEL_WEBHOOK_BASIC: BASIC,
    EXOTEL_API_BASE_URL: simulator.url,
    EXOTEL_ACCOUNT_SID: ACCOUNT.accountSid,
    EXOTEL_API_KEY: ACCOUNT.apiKey,
    EXOTEL_API_TOKEN: ACCOUNT.apiToken,
    EXOTEL_RECORDING_HOSTS: '127.0.0.1,*.exotel.com',
    EXOTEL_ALLOW_LOCAL: 'true',
    PUBLIC_URL: 'https://calls.example.com',
    SMTP_URL: mail.url,
    SPOOL_DIRECTORY: spool,
    ...SPOOL,
  }
  await ensureSchedules(namespace.client, readConfig(env))
  return {
    env,
    database,
    s3,
    mail,
    async state() {
      return {
        rows: await contentOf(owner),
        keys: await bucket.keys(),
        uploads: await bucket.openUploads(),
        missingAttributes: await missingSearchAttributes(namespace.client.connection as Connection, namespace.namespace),
        runs: (await namespace.client.workflow.count(`WorkflowType = '${RECORDING_WORKFLOW}'`)).count,
        spool: readdirSync(spool),
        mails: [...mail.received],
      }
    },
    async close() {
      await Promise.all([s3.close(), mail.close(), simulator.close(), owner.end(), namespace.close()])
      bucket.close()
      await database.drop()
    },
  }
}

/** A hash of the rows of each table. */
async function contentOf(database: pg.Pool): Promise<Record<string, string>> {
  const { rows: tables } = await database.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1`,
  )
  const content: Record<string, string> = {}
  for (const { name } of tables) {
    const { rows } = await database.query(
      `SELECT md5(COALESCE(string_agg(row::text, '' ORDER BY row::text), '')) AS hash FROM "${name}" AS row`,
    )
    content[name] = rows[0].hash
  }
  return content
}

/** Runs the command in this process. */
export async function examine(env: NodeJS.ProcessEnv, options: Partial<DoctorOptions> = {}): Promise<Diagnosis> {
  const lines: string[] = []
  const code = await runDoctor(['--json'], {
    findSettings: () => ({ env, name: 'the test' }),
    print: (line) => void lines.push(line),
    printError: (line) => void lines.push(line),
    interrupted: new AbortController().signal,
    ...options,
  })
  const { checks } = JSON.parse(lines.at(-1)!) as { checks: Finding[] }
  return { code, findings: checks, output: lines.join('\n') }
}

/** The results of all checks that are not `ok`, by name. Of several findings with a name, the last one. */
export function notOk(findings: Finding[]): Record<string, string> {
  return Object.fromEntries(findings.filter(({ result }) => result !== 'ok').map(({ name, result }) => [name, result]))
}
