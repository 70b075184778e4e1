import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from '@jest/globals'
import { SCHEDULES } from '../../contracts/names.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { sample } from '../support/samples.ts'
import { newCallSid, servers } from '../support/servers.ts'
import { startTcpProxy, type TcpProxy } from '../../testing/chaos/tcp-proxy.ts'
import { postWebhook } from '../support/webhook.ts'

let lines: { temporal: TcpProxy; postgres: TcpProxy; s3: TcpProxy }
let backend: Backend
beforeAll(async () => {
  const [host, port] = servers.temporal.address.split(':') as [string, string]
  const database = new URL(servers.databaseUrl)
  const s3 = new URL(servers.s3.endpoint)
  lines = {
    temporal: await startTcpProxy(host, Number(port)),
    postgres: await startTcpProxy(database.hostname, Number(database.port)),
    s3: await startTcpProxy(s3.hostname, Number(s3.port)),
  }
  backend = await startBackend({
    env: {
      TEMPORAL_ADDRESS: `127.0.0.1:${lines.temporal.port}`,
      WASABI_ENDPOINT: `http://127.0.0.1:${lines.s3.port}`,
      EXOTEL_WEBHOOK_TOKEN: 'tok',
    },
    databasePort: lines.postgres.port,
  })
})
afterAll(async () => {
  await backend?.stop()
  for (const line of Object.values(lines ?? {})) await line.close()
})

// Resets what a test has cut or set, also if it fails.
afterEach(async () => {
  for (const line of Object.values(lines)) line.restore()
  backend.simulator.outage(0)
  await eventually('PostgreSQL to be reached', () =>
    backend.database.query(`UPDATE webhook_events SET relay_state = 'none' WHERE identity = 'poison'`),
  )
})

const health = async () =>
  (await (await fetch(`${backend.apiUrl}/health`)).json()) as {
    temporal: string
    database: string
    relay: { state: string }
    recordings: { unrelayed: number; deferred: number }
  }
const ended = { Status: 'completed', ConversationDuration: '1' }
const alarms = (log: string) => backend.logs('api').split(log).length - 1

describe('When Temporal is unavailable', () => {
  beforeEach(() => lines.temporal.cut())

  test('then webhooks are accepted, one alarm is raised, and every workflow starts afterwards', async () => {
    const before = alarms('Recording relay paused')
    const sids = Array.from({ length: 40 }, newCallSid)
    for (const CallSid of sids) expect((await postWebhook(backend.apiUrl, 'call-end', { CallSid, Status: 'busy' })).status).toBe(200)
    await eventually('health to say so', async () => {
      const { temporal, relay } = await health()
      return temporal === 'unavailable' && relay.state === 'paused' // the relay waits after its request reached the deadline
    })
    expect((await fetch(`${backend.apiUrl}/health/ready`)).status).toBe(200)
    await eventually('health to count them', async () => (await health()).recordings.unrelayed >= 40)
    lines.temporal.restore()
    for (const callSid of sids)
      await eventually(
        `${callSid} to be concluded`,
        async () => (await backend.callRow(callSid))?.recording_state === 'not_recorded',
        60_000,
      )
    expect(alarms('Recording relay paused') - before).toBe(1)
    await eventually('health to be ok', async () => {
      const { temporal, recordings } = await health()
      return temporal === 'ok' && recordings.unrelayed === 0 && recordings.deferred === 0
    })
  })
})

test('When the idle connections to PostgreSQL were cut, then the next webhook is accepted', async () => {
  for (let i = 0; i < 5; i += 1) {
    lines.postgres.cut()
    lines.postgres.restore()
    expect((await postWebhook(backend.apiUrl, 'call-start', { CallSid: newCallSid() })).status).toBe(200)
  }
})

describe('When PostgreSQL is unavailable', () => {
  test.each(['cut', 'stall'] as const)(
    'then (%s) a POST gets 503 with Retry-After, a GET gets its response within 2 s, and nothing is written in part',
    async (how) => {
      const [posted, asked, before] = [newCallSid(), newCallSid(), newCallSid()]
      await postWebhook(backend.apiUrl, 'call-start', { CallSid: before })
      lines.postgres[how]()
      const began = Date.now()
      const [post, get] = await Promise.all([
        postWebhook(backend.apiUrl, 'call-end', { CallSid: posted, Status: 'busy' }),
        fetch(`${backend.apiUrl}/webhooks/exotel/call-end?token=tok&CallSid=${asked}&CallStatus=busy`).then((response) => ({
          response,
          ms: Date.now() - began,
        })),
      ])
      expect(post.status).toBe(503)
      expect(post.headers.get('retry-after')).toBe('10')
      expect(await post.json()).toMatchObject({ code: 'database_unavailable' })
      expect(get.response.status).toBe(200)
      expect(get.ms).toBeLessThan(2000) // a documented limit, because a caller waits meanwhile
      expect((await fetch(`${backend.apiUrl}/health/ready`)).status).toBe(200)
      await eventually('health to say so', async () => {
        const { database, temporal } = await health()
        return database === 'unavailable' && temporal === 'ok'
      })
      await eventually('the worker to say so', async () => {
        const worker = (await (await fetch(backend.workerHealthUrl)).json()) as { database: string; temporal: string }
        return worker.database === 'unavailable' && worker.temporal === 'ok'
      })
      const bad = await fetch(`${backend.apiUrl}/webhooks/exotel/call-end?token=tok&CallSid=a%20b`)
      expect(bad.status).toBe(400)
      lines.postgres.restore()
      await eventually(
        'the repeated POST to be durable',
        async () => (await postWebhook(backend.apiUrl, 'call-end', { CallSid: posted, Status: 'busy' })).status === 200,
      )
      await backend.concluded(posted)
      expect(await backend.callRow(before)).toMatchObject({ recording_state: 'none' })
    },
  )

  test('then recordings in progress are stored when it is available again, and both processes keep running', async () => {
    const { call } = backend.simulator.call({ fault: 'slow-drip', recording: sample('inbound-dual.mp3') })
    await eventually('some of it to be spooled', async () => backend.spoolFiles().length > 0)
    lines.postgres.cut()
    await eventually('the relay to pause', async () => (await health()).relay.state === 'paused')
    lines.postgres.restore()
    expect(await backend.concluded(call.callSid, 60_000)).toMatchObject({ recording_state: 'stored' })
    await backend.database
      .query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
      .catch(() => {})
    await eventually(
      'the API to accept webhooks again',
      async () => (await postWebhook(backend.apiUrl, 'call-end', { CallSid: newCallSid(), ...ended })).status === 200,
    )
  })
})

test('When Temporal refuses one event, then it is deferred and counted in health, and the others are sent', async () => {
  const [poisoned, healthy] = [newCallSid(), newCallSid()]
  await backend.database.query(`INSERT INTO calls (call_sid, recording_state) VALUES ($1, 'awaiting')`, [poisoned])
  await backend.database.query(
    `INSERT INTO webhook_events (source, route, identity, call_sid, source_urls, relay_state)
     SELECT 'operator', 'recording', 'poison', $1, array_agg('https://recordings.exotel.com/' || repeat('x', 100) || n), 'pending' FROM generate_series(1, 30000) n`,
    [poisoned],
  )
  await postWebhook(backend.apiUrl, 'call-end', { CallSid: healthy, Status: 'busy' })
  await backend.concluded(healthy)
  await eventually('it to be deferred', async () => (await health()).recordings.deferred === 1)
  const { rows } = await backend.database.query(
    `SELECT relay_tries, relay_error, relay_state FROM webhook_events WHERE identity = 'poison'`,
  )
  expect(rows[0]).toMatchObject({ relay_state: 'pending', relay_error: expect.stringMatching(/size|limit|large/i) })
  expect((rows[0] as { relay_tries: number }).relay_tries).toBeGreaterThanOrEqual(1)
  expect(await health()).toMatchObject({ temporal: 'ok' })
})

test('When Exotel refuses our key, then recordings wait with an alarm, and are stored when the key is accepted again', async () => {
  backend.simulator.outage(401)
  const { call } = backend.simulator.call({ fault: 'none', recording: sample('short-vbr-id3.mp3') })
  const workerAlarms = async () =>
    ((await (await fetch(backend.workerHealthUrl)).json()) as { alarms: { name: string }[] }).alarms.map(({ name }) => name)
  await eventually('the alarm', async () => (await workerAlarms()).includes('ExotelCredentialsRefused'))
  // Another call of this file may have raised it.
  await eventually(
    'the row to say so',
    async () => (await backend.callRow(call.callSid))?.recording_error_code === 'ExotelCredentialsRefused',
  )
  expect(await backend.callRow(call.callSid)).toMatchObject({ recording_state: 'awaiting' })
  backend.simulator.outage(0)
  expect(await backend.concluded(call.callSid, 60_000)).toMatchObject({ recording_state: 'stored' })
  await eventually('the alarm to end', async () => (await workerAlarms()).length === 0) // other calls of this file also send requests
})

describe('When S3 is unavailable', () => {
  test('then the rows say so, an alarm is raised, and every recording is stored when S3 is available again', async () => {
    lines.s3.cut()
    const calls = Array.from({ length: 8 }, () => backend.simulator.call({ fault: 'none', recording: sample('short-vbr-id3.mp3') }).call)
    for (const { callSid } of calls) {
      await eventually(`the row of ${callSid} to say so`, async () => {
        const row = await backend.callRow(callSid)
        return row?.recording_error_code === 'StorageUnavailable' && row.recording_next_try_at !== null
      })
    }
    const workerHealth = async () => (await (await fetch(backend.workerHealthUrl)).json()) as { store: string; alarms: { name: string }[] }
    await eventually('the breaker to open', async () => (await workerHealth()).alarms.some(({ name }) => name === 'StorageUnavailable'))
    lines.s3.restore()
    for (const { callSid } of calls) {
      expect(await backend.concluded(callSid, 60_000)).toMatchObject({ recording_state: 'stored', recording_error: null })
    }
    expect(await workerHealth()).toMatchObject({ store: 'closed', alarms: [] })
  })
})

test('When all services are unavailable at once, then every recording is stored afterwards', async () => {
  const before = backend.simulator.call({ fault: 'slow-drip', recording: sample('inbound-dual.mp3') }).call
  await eventually('some of it to be spooled', async () => backend.spoolFiles().length > 0)
  for (const line of Object.values(lines)) line.cut()
  backend.simulator.outage(503)
  const during = backend.simulator.call({ fault: 'none', recording: sample('short-vbr-id3.mp3') })
  await eventually('the relay to pause', async () => (await health()).relay.state === 'paused')
  await during.told // Exotel gives up after three responses 503
  for (const line of Object.values(lines)) line.restore()
  backend.simulator.outage(0)
  await backend.temporal.schedule.getHandle(SCHEDULES.reconcile).trigger()
  for (const { callSid } of [before, during.call]) {
    await eventually(
      `${callSid} to be stored`,
      async () => {
        await backend.temporal.schedule.getHandle(SCHEDULES.recovery).trigger() // in case the outage of Exotel used all attempts
        return (await backend.callRow(callSid))?.recording_state === 'stored'
      },
      60_000,
    )
  }
})
