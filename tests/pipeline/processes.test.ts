import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import { setUpTemporal } from '../../temporal/namespace.ts'
import { Connection } from '@temporalio/client'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { sample } from '../support/samples.ts'
import { home, newCallSid, servers, uniqueName } from '../support/servers.ts'
import { sign } from '../support/webhook.ts'

let backend: Backend
afterEach(() => backend?.stop())

describe('When the worker gets SIGTERM', () => {
  test('in the middle of a download, then it ends cleanly, and the next worker continues at once', async () => {
    backend = await startBackend()
    const { call } = backend.simulator.call({ fault: 'slow-drip', recording: sample('outbound-mono.mp3') })
    await eventually('a part of the recording to be spooled', async () => backend.spoolFiles().length > 0)
    expect((await fetch(`${backend.workerHealthUrl}/ready`)).status).toBe(200)
    expect(await backend.end('worker', 'SIGTERM')).toBe(0)
    await backend.start('worker')
    expect(await backend.concluded(call.callSid)).toMatchObject({ recording_state: 'stored' })
    expect(backend.spoolFiles()).toEqual([])
  })

  test('before it has reached Temporal or PostgreSQL, then it ends nevertheless', async () => {
    backend = await startBackend({ start: [] })
    for (const unreachable of [{ TEMPORAL_ADDRESS: '127.0.0.1:1' }, { DATABASE_URL: 'postgresql://postgres@127.0.0.1:1/x' }]) {
      backend.launch('worker', unreachable)
      await eventually('the worker to wait', async () => (await fetch(backend.workerHealthUrl)).ok)
      expect((await fetch(`${backend.workerHealthUrl}/ready`)).status).toBe(503)
      expect(await backend.end('worker', 'SIGTERM')).toBe(0)
    }
  })
})

test('When a second worker uses the same spool, then it ends with one sentence', async () => {
  backend = await startBackend({ start: ['worker'] })
  backend.launch('worker', { OPERATIONS_PORT: '0' })
  expect(await backend.exited('worker')).toBe(1)
  expect(backend.logs('worker')).toContain('Another worker uses the spool directory')
})

test('When the spool directory cannot be used, then the worker ends with one sentence', async () => {
  backend = await startBackend({ start: [] })
  const file = join(home, uniqueName('file'))
  writeFileSync(file, '')
  backend.launch('worker', { SPOOL_DIRECTORY: join(file, 'spool') })
  expect(await backend.exited('worker')).toBe(1)
  const output = backend.logs('worker').trim()
  expect(output).toMatch(/^The spool directory .* cannot be used: ENOTDIR/)
  expect(output.split('\n')).toHaveLength(1)
})

test('When namespace and search attributes are missing, then the API starts, both raise an alarm that names the command, and continue after it has run', async () => {
  const namespace = uniqueName('late')
  backend = await startBackend({ start: ['api'], env: { TEMPORAL_NAMESPACE: namespace } })
  backend.launch('worker')
  const callSid = newCallSid()
  const body = JSON.stringify({ CallSid: callSid, Status: 'busy' })
  const response = await fetch(`${backend.apiUrl}/webhooks/exotel/call-end`, {
    method: 'POST',
    body,
    headers: { 'x-exotel-signature': sign(body) },
  })
  expect(response.status).toBe(200)
  await eventually(
    'both alarms',
    async () => /npm run temporal:setup/.test(backend.logs('api')) && /npm run temporal:setup/.test(backend.logs('worker')),
  )
  const connection = await Connection.connect({ address: servers.temporal.address })
  await setUpTemporal(connection, namespace)
  await connection.close()
  await eventually('the call to be concluded', async () => (await backend.callRow(callSid))?.recording_state === 'not_recorded', 60_000)
})

test('When settings are missing, then a process names them in one sentence and exits with 1', async () => {
  backend = await startBackend({ start: [] })
  for (const name of ['api', 'worker'] as const) {
    backend.launch(name, { WASABI_BUCKET: '', EXOTEL_API_KEY: '' })
    expect(await backend.exited(name)).toBe(1)
    expect(backend.logs(name).trim().split('\n')).toEqual([
      'The configuration is invalid. WASABI_BUCKET is missing. EXOTEL_API_KEY is missing. See .env.example.',
    ])
  }
})

test('When the API gets SIGTERM, then the current request is answered and its data durable, and idle connections do not delay the exit', async () => {
  backend = await startBackend({ start: ['api'] })
  const port = Number(new URL(backend.apiUrl).port)
  const callSid = newCallSid()
  const body = JSON.stringify({ CallSid: callSid, Status: 'busy' })
  const idle = connect(port, '127.0.0.1')
  idle.write('GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n')
  await new Promise((resolve) => idle.once('data', resolve))
  const dripping = connect(port, '127.0.0.1')
  dripping.write(
    `POST /webhooks/exotel/call-end HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\nX-Exotel-Signature: ${sign(body)}\r\n\r\n${body.slice(0, 10)}`,
  )
  await eventually('the request to have arrived', async () => (await fetch(`${backend.apiUrl}/health/ready`)).ok)
  const ended = backend.end('api', 'SIGTERM')
  await new Promise((resolve) => idle.once('close', resolve))
  const answer = new Promise<string>((resolve) => dripping.once('data', (data) => resolve(data.toString())))
  dripping.write(body.slice(10))
  expect(await answer).toMatch(/^HTTP\/1.1 200 OK/)
  expect(await ended).toBe(0)
  expect(await backend.callRow(callSid)).toMatchObject({ status: 'busy' })
})

test('When a statement takes longer than the grace period of the API, then the API ends cleanly before the statement', async () => {
  backend = await startBackend({ start: ['api'], env: { SHUTDOWN_GRACE_SECONDS: '1' } })
  const holder = await backend.database.connect()
  try {
    await holder.query('BEGIN; LOCK TABLE webhook_events IN ACCESS EXCLUSIVE MODE')
    const body = JSON.stringify({ CallSid: newCallSid(), Status: 'busy' })
    const headers = { 'x-exotel-signature': sign(body) }
    const cut = fetch(`${backend.apiUrl}/webhooks/exotel/call-end`, { method: 'POST', body, headers }).catch(() => 'cut')
    const sql = `SELECT FROM pg_stat_activity WHERE query LIKE '%INSERT INTO webhook_events%' AND wait_event_type = 'Lock'`
    await eventually('the statement to wait', async () => (await backend.database.query(sql)).rows.length > 0)
    expect(await backend.end('api', 'SIGTERM')).toBe(0)
    expect(await cut).toBe('cut')
  } finally {
    holder.release(true)
  }
})

test('When two APIs run concurrently, then every event is relayed once', async () => {
  backend = await startBackend()
  backend.launch('api', { PORT: '0', OPERATIONS_PORT: '0' })
  const sids = Array.from({ length: 100 }, newCallSid)
  await Promise.all(
    sids.map((callSid) => {
      const body = JSON.stringify({ CallSid: callSid, Status: 'busy' })
      return fetch(`${backend.apiUrl}/webhooks/exotel/call-end`, { method: 'POST', body, headers: { 'x-exotel-signature': sign(body) } })
    }),
  )
  for (const callSid of sids)
    await eventually(`${callSid} to be concluded`, async () => (await backend.callRow(callSid))?.recording_state === 'not_recorded')
  const { rows } = await backend.database.query(`SELECT count(*)::int AS relayed FROM webhook_events WHERE relay_state = 'started'`)
  expect(rows).toEqual([{ relayed: 100 }])
  let runs = 0
  for await (const _ of backend.temporal.workflow.list()) runs += 1
  expect(runs).toBe(100)
})
