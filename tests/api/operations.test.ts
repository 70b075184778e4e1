// What people on duty see first, the running processes with their alarms, and roles.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { connectDatabase, type Database } from '../../platform/database.ts'
import { listProcesses, registerProcess } from '../../platform/process-registry.ts'
import { get, post, registered } from '../support/accounts.ts'
import { startAnotherApi, startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { colleague, type Colleague } from '../support/roles.ts'
import { newCallSid } from '../support/servers.ts'

interface Overview extends Record<string, unknown> {
  alarms: Record<string, unknown>[]
  failing: object[]
  deletedSoonest: { callSid: string; daysLeft: number }[]
}

const logger = pino({ level: 'silent' })
let backend: Backend
let viewer: Colleague
let admin: Colleague
let database: Database
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { EXOTEL_RETENTION_DAYS: '60' } })
  ;[viewer, admin] = await Promise.all([colleague(backend, 'viewer'), colleague(backend, 'admin')])
  database = connectDatabase({ url: backend.env.DATABASE_URL!, poolSize: 2, logger })
})
afterAll(async () => {
  await database?.$disconnect()
  await backend?.stop()
})

const overview = async () => (await get<Overview>(backend.apiUrl, '/api/operations/overview', viewer.headers)).body

/** Inserts a call that took place some days ago. */
async function insertCall(state: string, daysAgo: number, code?: string): Promise<string> {
  const callSid = newCallSid()
  await backend.database.query(
    `INSERT INTO calls (call_sid, recording_state, recording_url, recording_error, recording_error_code, started_at, recording_state_since)
     VALUES ($1, $2, CASE WHEN $2 = 'stored' THEN 'https://s3.test/x' END, $4, $4, now() - make_interval(days => $3::int),
             CASE WHEN $2 = 'stored' THEN now() ELSE now() - make_interval(days => $3::int) END)`,
    [callSid, state, daysAgo, code ?? null],
  )
  return callSid
}

test('When calls are stored, wait and fail, then the overview counts them, and names what Exotel deletes soonest', async () => {
  await backend.database.query('TRUNCATE calls CASCADE')
  await insertCall('stored', 0)
  const waiting = await insertCall('awaiting', 3)
  await insertCall('awaiting', 1)
  const damaged = await insertCall('quarantined', 59, 'RecordingDamaged')
  await insertCall('failed', 61, 'RecordingExpired') // Exotel has deleted it
  const failed = await insertCall('failed', 10, 'RecordingMissing')
  await insertCall('failed', 5, 'RecordingMissing')
  const body = await overview()
  expect(body).toMatchObject({
    storedToday: 1,
    awaiting: 2,
    oldestWait: { callSid: waiting },
    failing: [
      { code: 'RecordingMissing', state: 'failed', calls: 2 },
      { code: 'RecordingDamaged', state: 'quarantined', calls: 1 },
      { code: 'RecordingExpired', state: 'failed', calls: 1 },
    ],
    backlog: { unrelayed: 0 },
    lastReconciliation: null,
    lastObjectCheck: null,
    lastRecovery: null,
  })
  expect(body.deletedSoonest.slice(0, 2)).toMatchObject([
    { callSid: damaged, daysLeft: 0 },
    { callSid: failed, daysLeft: 49 },
  ])
  expect(body.deletedSoonest).toHaveLength(5)
})

describe('When processes run,', () => {
  const processes = async () =>
    (
      await get<{ processes: { kind: string; name: string; pid: number; state: string }[] }>(
        backend.apiUrl,
        '/api/operations/processes',
        viewer.headers,
      )
    ).body.processes

  test('then each API process is listed, and one that has stopped is not', async () => {
    await startAnotherApi(backend)
    const pid = backend.pid('api')
    await eventually('both processes to be listed', async () => (await processes()).filter(({ state }) => state === 'serving').length === 2)
    expect(await backend.end('api', 'SIGTERM')).toBe(0)
    expect((await processes()).map((each) => each.pid)).not.toContain(pid)
  })

  test('then the overview has the alarms of all of them, in words, each once', async () => {
    const alarm = (reason: string, minute: number) => ({
      name: 'StorageUnavailable',
      reason,
      since: `2026-11-29T10:0${minute}:00.000Z`,
      reasonAt: `2026-11-29T10:0${minute}:00.000Z`,
    })
    const reports = {
      one: { state: 'running', breaker: 'open', alarms: [alarm('SlowDown (HTTP 503)', 1)] },
      two: { state: 'running', breaker: 'closed', alarms: [alarm('no response', 2), { ...alarm('x', 3), name: 'FromTheFuture' }] },
    }
    const workers = Object.entries(reports).map(([name, report]) =>
      registerProcess({ database, kind: 'worker', name, report: () => report, ready: Promise.resolve(), logger, everyMs: 10 }),
    )
    const body = await eventually('both alarms', async () => {
      const current = await overview()
      return current.alarms.length === 2 && (current.alarms[0]!.processes as string[]).length === 2 && current
    })
    expect(body.breaker).toBe('open')
    expect(body.alarms).toEqual([
      {
        ...alarm('no response', 2),
        since: '2026-11-29T10:01:00.000Z',
        meaning: 'S3 is unavailable. Recordings wait, and none fails.',
        action: 'Check the status of the S3 provider and the network.',
        processes: ['worker two', 'worker one'],
      },
      expect.objectContaining({ name: 'FromTheFuture', action: expect.stringContaining('docs/operations.md') }),
    ])
    reports.one.alarms = []
    reports.one.breaker = 'closed'
    reports.two.alarms = []
    await eventually('no alarm', async () => (await overview()).alarms.length === 0)
    await Promise.all(workers.map((each) => each.stop()))
    expect((await overview()).breaker).toBe('unknown')
  })

  test('then one that died disappears from the list, and later its row is deleted', async () => {
    await backend.database.query(
      `INSERT INTO processes (id, kind, name, pid, version, state, seen_at) VALUES
         ($1, 'worker', 'died', 1, '1', 'running', now() - interval '1 minute'), ($2, 'worker', 'long ago', 1, '1', 'running', now() - interval '1 hour')`,
      [randomUUID(), randomUUID()],
    )
    expect((await listProcesses(database)).map(({ name }) => name)).not.toContain('died')
    await eventually(
      'the old row to be deleted',
      async () => (await backend.database.query(`SELECT FROM processes WHERE name = 'long ago'`)).rowCount === 0,
    )
    expect((await backend.database.query(`SELECT FROM processes WHERE name = 'died'`)).rowCount).toBe(1)
  })
})

describe('When an administrator gives a role,', () => {
  const give = (accountId: string, role: string, { headers }: Colleague = admin) =>
    post(backend.apiUrl, `/api/operations/accounts/${accountId}/role`, { role, reason: 'on duty' }, headers)
  const idOf = async (email: string) =>
    (await backend.database.query<{ id: string }>('SELECT id FROM users WHERE email = $1', [email])).rows[0]!.id

  test('then it applies to the next request, and is recorded with who and why', async () => {
    const person = await colleague(backend, 'user')
    const id = await idOf(person.person.email)
    const { body } = await get<{ accounts: { id: string; role: string }[] }>(
      backend.apiUrl,
      `/api/operations/accounts?after=${encodeURIComponent(person.person.email.slice(0, -1))}`,
      admin.headers,
    )
    expect(body.accounts[0]).toMatchObject({ id, email: person.person.email, role: 'user' })
    expect((await give(id, 'operator')).status).toBe(204)
    expect((await get(backend.apiUrl, '/api/calls', person.headers)).status).toBe(200)
    expect((await get<{ actions: object[] }>(backend.apiUrl, '/api/operations/actions', viewer.headers)).body.actions[0]).toMatchObject({
      action: 'change_role',
      userEmail: admin.person.email,
      subject: person.person.email,
      reason: 'on duty',
      result: 'done',
      detail: 'user → operator',
    })
  })

  test('then nobody else can, and no administrator changes the own role', async () => {
    const person = await registered(backend)
    const id = await idOf(person.email)
    const operator = await colleague(backend, 'operator')
    expect(await give(id, 'admin', operator)).toMatchObject({ status: 403, body: { code: 'role_required' } })
    expect(await give(await idOf(admin.person.email), 'user')).toMatchObject({ status: 409, body: { code: 'action_refused' } })
    expect((await give(randomUUID(), 'viewer')).status).toBe(404)
    expect((await give(id, 'king')).status).toBe(422)
    const { rows } = await backend.database.query('SELECT role FROM users WHERE id = $1', [id])
    expect(rows).toEqual([{ role: 'user' }])
  })

  test('then the application cannot do it without the open session of an administrator', async () => {
    const id = await idOf((await registered(backend)).email)
    const sessionOf = async (email: string) =>
      (
        await backend.database.query<{ id: string }>('SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = $1', [
          email,
        ])
      ).rows[0]!.id
    const change = async (session: string) =>
      (await database.$queryRaw<{ result: string }[]>`SELECT change_role(${session}::uuid, ${id}::uuid, 'admin', 'x') AS result`)[0]!.result
    expect(await change(await sessionOf(viewer.person.email))).toBe('not_allowed')
    expect(await change(randomUUID())).toBe('not_allowed')
    await expect(database.$executeRaw`UPDATE users SET role = 'admin' WHERE id = ${id}::uuid`).rejects.toMatchObject({ code: '42501' })
    await expect(database.$executeRaw`DELETE FROM recording_accesses`).rejects.toMatchObject({ code: '42501' })
    await expect(database.$executeRaw`UPDATE operator_actions SET user_email = 'x'`).rejects.toMatchObject({ code: '42501' })
  })
})
