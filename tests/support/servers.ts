// Parts of the run's servers that one test file has for itself: a database, a namespace, a bucket.
import { Client, Connection } from '@temporalio/client'
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { pino } from 'pino'
import { setUpTemporal } from '../../deploy/temporal-namespace.ts'
import { ensureBucket, type S3Access } from '../../dev/s3-server.ts'
import type { Servers } from '../../dev/stack.ts'
import { connectDatabase, type Database } from '../../platform/database.ts'

const stack = JSON.parse(process.env.TEST_STACK ?? '{}') as { servers: Servers; home: string; dist: string }
export const { servers, home, dist } = stack

export function uniqueName(prefix: string): string {
  return `${prefix}-${randomBytes(5).toString('hex')}`
}

export function newCallSid(): string {
  return randomBytes(16).toString('hex')
}

/** A migrated database of its own. */
export async function createDatabase(): Promise<{ url: string; drop: () => Promise<void> }> {
  const name = uniqueName('test').replaceAll('-', '_')
  const admin = new URL(servers.databaseUrl)
  const template = admin.pathname.slice(1)
  admin.pathname = '/postgres'
  const run = async (sql: string): Promise<void> => {
    const client = new pg.Client({ connectionString: admin.href })
    client.on('error', () => {}) // the run may end first
    await client.connect()
    await client.query(sql).finally(() => client.end())
  }
  await run(`CREATE DATABASE ${name} TEMPLATE ${template}`)
  const url = new URL(servers.databaseUrl)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => run(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) }
}

/** A migrated database of its own, as the product connects to it. */
export async function openDatabase(poolSize = 5): Promise<{ database: Database; url: string; close: () => Promise<void> }> {
  const { url, drop } = await createDatabase()
  const database = connectDatabase({ url, poolSize, logger: pino({ level: 'silent' }) })
  return {
    database,
    url,
    async close() {
      await database.$disconnect()
      await drop()
    },
  }
}

/** A namespace with our search attributes, and a client for it. */
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
