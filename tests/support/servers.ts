// A database, a namespace and a bucket for one test file, on the shared servers of the test run.
import { Client, Connection } from '@temporalio/client'
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { pino } from 'pino'
import type { CallSid } from '../../contracts/call-sid.ts'
import { setUpTemporal } from '../../temporal/namespace.ts'
import { ensureBucket, type S3Access } from '../../dev/s3-server.ts'
import type { Servers } from '../../dev/stack.ts'
import { connectDatabase, type Database } from '../../platform/database.ts'

const stack = JSON.parse(process.env.TEST_STACK ?? '{}') as { servers: Servers; home: string; dist: string }
export const { servers, home, dist } = stack

export function uniqueName(prefix: string): string {
  return `${prefix}-${randomBytes(5).toString('hex')}`
}

/** A CallSid with this text. */
export function callSid(text: string): CallSid {
  return text as CallSid
}

export function newCallSid(): CallSid {
  return callSid(randomBytes(16).toString('hex'))
}

export interface TestDatabase {
  /** For the role that owns the tables: for tests that write rows or change the schema. */
  url: string
  /** For the role of API and worker. */
  applicationUrl: string
  drop: () => Promise<void>
}

/** Creates a migrated database. */
export async function createDatabase(): Promise<TestDatabase> {
  const name = uniqueName('test').replaceAll('-', '_')
  const admin = new URL(servers.databaseUrl)
  const template = admin.pathname.slice(1)
  admin.pathname = '/postgres'
  const run = async (sql: string): Promise<void> => {
    const client = new pg.Client({ connectionString: admin.href })
    client.on('error', () => {}) // the server may stop first
    await client.connect()
    await client.query(sql).finally(() => client.end())
  }
  await run(`CREATE DATABASE ${name} TEMPLATE ${template}`)
  await run(`REVOKE TEMPORARY ON DATABASE ${name} FROM PUBLIC`) // privileges of the template are not copied
  const urlOf = (template: string): string => Object.assign(new URL(template), { pathname: `/${name}` }).href
  const urls = { url: urlOf(servers.databaseUrl), applicationUrl: urlOf(servers.applicationDatabaseUrl) }
  return { ...urls, drop: () => run(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) }
}

/** A migrated database with open connections. */
export interface OpenDatabase {
  /** Connects as the product does. */
  database: Database
  /** Connects as the owner of the tables, for tests that write rows. */
  owner: Database
  /** For the owner of the tables. */
  url: string
  close: () => Promise<void>
}

export async function openDatabase(poolSize = 5): Promise<OpenDatabase> {
  const { url, applicationUrl, drop } = await createDatabase()
  const logger = pino({ level: 'silent' })
  const database = connectDatabase({ url: applicationUrl, poolSize, logger })
  const owner = connectDatabase({ url, poolSize: 2, logger })
  return {
    database,
    owner,
    url,
    async close() {
      await Promise.all([database.$disconnect(), owner.$disconnect()])
      await drop()
    },
  }
}

/** Creates a namespace with our search attributes, and a client for it. */
export async function createNamespace(): Promise<{ namespace: string; client: Client; close: () => Promise<void> }> {
  const namespace = uniqueName('test')
  const connection = await Connection.connect({ address: servers.temporal.address })
  await setUpTemporal(connection, namespace)
  return { namespace, client: new Client({ connection, namespace }), close: () => connection.close() }
}

export async function createBucket(): Promise<S3Access & { bucket: string }> {
  const bucket = uniqueName('recordings')
  await ensureBucket(servers.s3, bucket)
  return { ...servers.s3, bucket }
}
