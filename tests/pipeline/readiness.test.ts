// API and worker processes with a database that is older or newer than their build, or unavailable.
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startTcpProxy } from '../../testing/chaos/tcp-proxy.ts'
import { readMigrations } from '../../platform/migrations.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { newCallSid, servers } from '../support/servers.ts'
import { postWebhook } from '../support/webhook.ts'

const NEWEST = readMigrations().at(-1)!
const PROCESSES = ['api', 'worker'] as const

let backend: Backend
beforeEach(async () => {
  backend = await startBackend({ start: [], env: { EXOTEL_WEBHOOK_TOKEN: 'tok' } })
})
afterEach(() => backend?.stop())

const sqlOf = (file: string) => readFileSync(fileURLToPath(new URL(`../../prisma/migrations/${NEWEST}/${file}`, import.meta.url)), 'utf8')
const record = (name: string) =>
  backend.database.query(`INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at) VALUES ($1, '', $1, now())`, [name])
const readyUrl = (name: (typeof PROCESSES)[number]) =>
  name === 'api' ? `${backend.apiUrl}/health/ready` : `${backend.workerHealthUrl}/ready`
const readiness = async (name: (typeof PROCESSES)[number]) => (await fetch(readyUrl(name))).status
const stateOfWorker = async () => (await fetch(readyUrl('worker'))).json() as Promise<{ state: string }>
const post = () => postWebhook(backend.apiUrl, 'call-end', { CallSid: newCallSid(), Status: 'busy' })

test('When the newest migration and its columns are missing, then both processes log its name and wait until it is applied', async () => {
  await backend.database.query(sqlOf('rollback.sql'))
  for (const name of PROCESSES) backend.launch(name)
  for (const name of PROCESSES) {
    await eventually(`${name} to say what is missing`, async () => backend.logs(name).includes(NEWEST))
    expect(backend.logs(name)).toContain('npm run migrate')
    await eventually(`${name} to respond`, async () => (await readiness(name)) === 503)
  }
  const posted = await post()
  expect([posted.status, posted.headers.get('retry-after')]).toEqual([503, '10'])
  expect(await posted.json()).toMatchObject({ code: 'database_unavailable' })
  expect((await fetch(`${backend.apiUrl}/webhooks/exotel/call-end?token=tok&CallSid=${newCallSid()}&CallStatus=busy`)).status).toBe(200)
  const { rows } = await backend.database.query('SELECT FROM webhook_events')
  expect(rows).toEqual([])

  await backend.database.query(sqlOf('migration.sql'))
  await record(NEWEST)
  for (const name of PROCESSES) await eventually(`${name} to be ready`, async () => (await readiness(name)) === 200)
  expect((await post()).status).toBe(200)
})

test('When the database has a migration that the build does not have, then both processes are ready, and the API stays ready', async () => {
  await record('9999_newer')
  for (const name of PROCESSES) await backend.start(name)
  expect(backend.logs('worker')).not.toContain('No workflows registered')
  expect((await post()).status).toBe(200)
  await backend.database.query('DELETE FROM _prisma_migrations WHERE migration_name = $1', [NEWEST])
  expect(await readiness('api')).toBe(200)
  expect((await post()).status).toBe(200)
})

test('When PostgreSQL is unavailable while the API starts, then the API becomes ready when PostgreSQL is available, and stays ready in later outages', async () => {
  const { hostname, port } = new URL(servers.databaseUrl)
  const line = await startTcpProxy(hostname, Number(port))
  try {
    const database = new URL(backend.env.DATABASE_URL!)
    database.port = String(line.port)
    line.cut()
    backend.launch('api', { DATABASE_URL: database.href })
    await eventually('the API to answer', async () => (await readiness('api')) === 503)
    expect((await post()).status).toBe(503)
    line.restore()
    await eventually('the API to be ready', async () => (await readiness('api')) === 200)
    line.cut()
    expect((await post()).status).toBe(503)
    expect(await readiness('api')).toBe(200)
    expect(await backend.end('api', 'SIGTERM')).toBe(0)
  } finally {
    await line.close()
  }
})

test('When the worker loses Temporal for 30 s, then it is not ready until Temporal responds again', async () => {
  const [host, port] = backend.env.TEMPORAL_ADDRESS!.split(':') as [string, string]
  const line = await startTcpProxy(host, Number(port))
  try {
    await backend.start('worker', { TEMPORAL_ADDRESS: `127.0.0.1:${line.port}` })
    line.cut()
    await eventually('the worker not to be ready', async () => (await readiness('worker')) === 503)
    line.restore()
    await eventually('the worker to be ready', async () => (await readiness('worker')) === 200)
  } finally {
    await line.close()
  }
})

test('When the bucket is unavailable while the worker starts, then the worker works, and is ready when the bucket responds', async () => {
  const { hostname, port } = new URL(backend.env.WASABI_ENDPOINT!)
  const line = await startTcpProxy(hostname, Number(port))
  try {
    line.cut()
    backend.launch('worker', { WASABI_ENDPOINT: `http://127.0.0.1:${line.port}` })
    await eventually('the worker to run', async () => (await stateOfWorker()).state === 'running')
    expect(await stateOfWorker()).toMatchObject({ ready: false, bucketReached: false })
    line.restore()
    await eventually('the worker to be ready', async () => (await readiness('worker')) === 200)
  } finally {
    await line.close()
  }
})

test('When PostgreSQL is unavailable and a webhook cannot be read, then a POST gets 503, so that Exotel sends it again', async () => {
  backend.launch('api', { DATABASE_URL: 'postgresql://postgres@127.0.0.1:1/x' })
  await eventually('the API to answer', async () => (await readiness('api')) === 503)
  const posted = await postWebhook(backend.apiUrl, 'call-end', { Status: 'busy' }) // without a CallSid
  expect([posted.status, posted.headers.get('retry-after')]).toEqual([503, '10'])
  expect(await posted.json()).toMatchObject({ code: 'database_unavailable' })
  // The caller of a GET must not wait, so it gets the final answer.
  const got = await fetch(`${backend.apiUrl}/webhooks/exotel/call-end?token=tok&CallStatus=busy`)
  expect([got.status, await got.json()]).toEqual([400, expect.objectContaining({ code: 'invalid_call_sid' })])
})

test('When the API gets SIGTERM before it reached PostgreSQL, then it exits with code 0', async () => {
  backend.launch('api', { DATABASE_URL: 'postgresql://postgres@127.0.0.1:1/x' })
  await eventually('the API to answer', async () => (await readiness('api')) === 503)
  expect(await backend.end('api', 'SIGTERM')).toBe(0)
})
