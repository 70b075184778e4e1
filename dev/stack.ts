// The servers that the backend needs: servers named in the environment, and embedded servers for the rest.
import { Connection } from '@temporalio/client'
import { join } from 'node:path'
import { setUpTemporal } from '../temporal/namespace.ts'
import { readTemporalSettings } from '../platform/config.ts'
import { temporalConnectionOptions } from '../temporal/connection-options.ts'
import { migrate } from './migrate.ts'
import { startPostgres, type DatabaseUrls } from './postgres.ts'
import type { Supervisor } from './supervisor.ts'
import { assertBucket, ensureBucket, startS3, type S3Access } from './s3-server.ts'
import type { Secrets } from './secrets.ts'
import { startTemporal } from './temporal-server.ts'

export interface Servers {
  /** For the role that owns the tables. */
  databaseUrl: string
  /** For the role of API and worker. */
  applicationDatabaseUrl: string
  temporal: { address: string; namespace: string; uiUrl: string | undefined }
  s3: S3Access & { bucket: string }
}

export interface StackOptions {
  home: string
  secrets: Secrets
  /** `usual`: each server's default port or the next free one, state is kept. `any`: any free ports, state is discarded. */
  kind: 'usual' | 'any'
  /** Called when a server is ready, with the time that it took. */
  report: (what: string, ms: number) => void
}

const BUCKET = 'recordings'
const PORTS = { postgres: 5433, temporal: 7233, temporalUi: 8233, s3: 7070 }

/** Starts all servers in parallel, applies the migrations, and creates namespace and bucket. Fails if one of them fails. */
export async function startServers(supervisor: Supervisor, options: StackOptions): Promise<Servers> {
  process.env.NO_ENV_FILE = 'true' // inherited by all processes that are started: .env may name a real database
  const [{ owner: databaseUrl, application: applicationDatabaseUrl }, temporal, s3] = await Promise.all([
    database(supervisor, options),
    temporalServer(supervisor, options),
    objectStore(supervisor, options),
  ])
  return { databaseUrl, applicationDatabaseUrl, temporal, s3 }
}

async function database(supervisor: Supervisor, { home, kind, report }: StackOptions): Promise<DatabaseUrls> {
  const startedAt = Date.now()
  const given = process.env.DATABASE_URL
  const urls = given
    ? { application: given, owner: process.env.MIGRATION_DATABASE_URL || given }
    : await startPostgres(supervisor, {
        home: join(home, 'postgres'),
        port: kind === 'usual' ? PORTS.postgres : 0,
        durable: kind === 'usual',
      })
  report(given ? 'PostgreSQL from DATABASE_URL' : 'PostgreSQL is ready', Date.now() - startedAt)
  const migrating = Date.now()
  await supervisor.finish((stopping) => migrate(urls.owner, given ? 'given' : 'own', stopping))
  report('Migrations are applied (prisma migrate deploy)', Date.now() - migrating)
  return urls
}

async function temporalServer(supervisor: Supervisor, { home, kind, report }: StackOptions): Promise<Servers['temporal']> {
  const startedAt = Date.now()
  const given = process.env.TEMPORAL_ADDRESS
  const ports =
    kind === 'usual' ? { file: join(home, 'temporal', 'temporal.db'), port: PORTS.temporal, uiPort: PORTS.temporalUi } : { port: 0 }
  const { address, uiUrl } = given ? { address: given, uiUrl: undefined } : await startTemporal(supervisor, ports)
  const settings = { ...readTemporalSettings(), TEMPORAL_ADDRESS: address }
  const connection = await Connection.connect(temporalConnectionOptions(settings)).catch((error: Error) => {
    throw new Error(`Temporal cannot be reached at ${address} (${error.message}): check TEMPORAL_ADDRESS.`)
  })
  await setUpTemporal(connection, settings.TEMPORAL_NAMESPACE)
  await connection.close()
  report(given ? 'Temporal from TEMPORAL_ADDRESS' : 'Temporal is ready', Date.now() - startedAt)
  return { address, namespace: settings.TEMPORAL_NAMESPACE, uiUrl }
}

async function objectStore(supervisor: Supervisor, { home, secrets, kind, report }: StackOptions): Promise<Servers['s3']> {
  const startedAt = Date.now()
  const {
    WASABI_ENDPOINT: endpoint,
    WASABI_REGION: region,
    WASABI_BUCKET: bucket = BUCKET,
    WASABI_ACCESS_KEY: key,
    WASABI_SECRET_KEY: secret,
  } = process.env
  if (endpoint) {
    if (!key || !secret) throw new Error('WASABI_ENDPOINT is set, but WASABI_ACCESS_KEY and WASABI_SECRET_KEY are not.')
    const access = { endpoint, region: region ?? 'us-east-1', accessKeyId: key, secretAccessKey: secret }
    await assertBucket(access, bucket).catch((error: Error) => {
      throw new Error(
        `The bucket ${bucket} at ${endpoint} cannot be used (${error.message || error.name}): check WASABI_ENDPOINT and its keys.`,
      )
    })
    report('S3 from WASABI_ENDPOINT', Date.now() - startedAt)
    return { ...access, bucket }
  }
  const keys = { accessKeyId: secrets.s3AccessKeyId, secretAccessKey: secrets.s3SecretAccessKey }
  const access = await startS3(supervisor, { home: join(home, 's3'), port: kind === 'usual' ? PORTS.s3 : 0, keys })
  await ensureBucket(access, bucket).catch((error: Error) => {
    // Another server on this port rejects the keys, which were generated for this stack.
    throw new Error(`The S3 server at ${access.endpoint} cannot be used, or belongs to another stack: ${error.message || error.name}`, {
      cause: error,
    })
  })
  report('The S3 server and its bucket are ready', Date.now() - startedAt)
  return { ...access, bucket }
}
