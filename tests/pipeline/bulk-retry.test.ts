// Retrying all failed calls that match filters, with the whole backend.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { bulkRetryWorkflowId } from '../../contracts/names.ts'
import { get, post } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { colleague, type Colleague } from '../support/roles.ts'
import { sample } from '../support/samples.ts'

const PATH = '/api/operations/retries'
interface BulkRetry {
  id: string
  state: string
  matches: number
  retried: number
  skipped: number
}

let backend: Backend
let operator: Colleague
let viewer: Colleague
beforeAll(async () => {
  backend = await startBackend()
  ;[operator, viewer] = await Promise.all([colleague(backend, 'operator'), colleague(backend, 'viewer')])
})
afterAll(() => backend?.stop())

const start = (filters: object, { headers }: Colleague = operator) =>
  post<BulkRetry>(backend.apiUrl, PATH, { filters, reason: 'the source works again' }, headers)
const dryRun = async (filters: object) =>
  (await post<{ matches: number }>(backend.apiUrl, `${PATH}/dry-run`, { filters }, operator.headers)).body
const list = async () => (await get<{ retries: BulkRetry[] }>(backend.apiUrl, PATH, operator.headers)).body.retries
const rowOf = async (id: string) => (await list()).find((retry) => retry.id === id)!
const becomes = (callSid: string, state: string) =>
  eventually(`${callSid} to be ${state}`, async () => (await backend.callRow(callSid))?.recording_state === state, 60_000)

/** Inserts calls whose search for a recording failed long ago. */
async function insertFailedCalls(count: number, customField: string): Promise<void> {
  await backend.database.query(
    `INSERT INTO calls (call_sid, status, custom_field, started_at, ended_at, recording_state, recording_error, recording_error_code, recording_given_up_at)
     SELECT $2 || n, 'completed', $2, now() - make_interval(days => 2, secs => n), now() - interval '2 days', 'failed', 'none', 'RecordingMissing', now()
     FROM generate_series(1, $1::int) AS n`,
    [count, customField],
  )
}

test('When an operator retries all calls that match a filter, then these are stored, and no filter is in the history', async () => {
  const From = '09876512345'
  const calls = [1, 2, 3].map(() => backend.simulator.call({ fault: 'html', recording: sample('short-vbr-id3.mp3') }).call)
  for (const { callSid } of calls) {
    await becomes(callSid, 'failed')
    await backend.concluded(callSid)
  }
  await backend.database.query('UPDATE calls SET from_number = $1 WHERE call_sid = ANY ($2)', [
    From,
    calls.slice(0, 2).map(({ callSid }) => callSid),
  ])
  for (const call of calls) call.fault = 'none'
  const filters = { phone: '12345', errorCode: 'RecordingInvalid' }
  expect(await dryRun(filters)).toEqual({ matches: 2 })
  const { status, body } = await start(filters)
  expect([status, body]).toMatchObject([202, { state: 'running', matches: 2 }])
  await becomes(calls[0]!.callSid, 'stored')
  await becomes(calls[1]!.callSid, 'stored')
  expect(await eventually('its end', async () => (await rowOf(body.id)).state !== 'running' && rowOf(body.id))).toMatchObject({
    state: 'done',
    retried: 2,
    skipped: 0,
  })
  const history = JSON.stringify(await backend.temporal.workflow.getHandle(bulkRetryWorkflowId(body.id)).fetchHistory())
  expect(history).not.toContain(Buffer.from('12345').toString('base64').slice(0, 6))
  expect(history).not.toContain('12345')
  expect(backend.logs('api') + backend.logs('worker')).not.toContain(From)
})

test('When a bulk retry is cancelled, then it starts no further call; meanwhile no other one can start', async () => {
  const customField = 'cancelled'
  await insertFailedCalls(60, customField)
  const { body } = await start({ customField })
  expect(body).toMatchObject({ matches: 60 })
  await eventually('the first portion', async () => (await rowOf(body.id)).retried + (await rowOf(body.id)).skipped > 0)
  expect(await start({ customField })).toMatchObject({ status: 409, body: { code: 'action_refused' } })
  expect((await post(backend.apiUrl, `${PATH}/${body.id}/cancel`, {}, operator.headers)).status).toBe(202)
  const handle = backend.temporal.workflow.getHandle(bulkRetryWorkflowId(body.id))
  await expect(handle.result()).rejects.toThrow()
  const row = await rowOf(body.id)
  expect(row).toMatchObject({ state: 'cancelled' })
  const { rows } = await backend.database.query(
    `SELECT count(*)::int AS started FROM webhook_events WHERE source = 'operator' AND call_sid LIKE '${customField}%'`,
  )
  expect(rows).toEqual([{ started: row.retried }])
  expect(row.retried).toBeLessThan(60)
})

test('When the worker is killed during a bulk retry, then every call is started once', async () => {
  const customField = 'killed'
  await insertFailedCalls(60, customField)
  const { body } = await start({ customField })
  await eventually('the first portion', async () => (await rowOf(body.id)).retried > 0)
  await backend.end('worker', 'SIGKILL')
  await backend.start('worker')
  const row = await eventually('its end', async () => (await rowOf(body.id)).state === 'done' && rowOf(body.id), 120_000)
  expect(row.retried + row.skipped).toBe(60)
  const { rows } = await backend.database.query(
    `SELECT count(DISTINCT call_sid)::int AS calls FROM webhook_events WHERE source = 'operator' AND call_sid LIKE '${customField}%'`,
  )
  expect(rows).toEqual([{ calls: 60 }])
})

test('When nothing matches, the filter is nonsense, or the caller may not, then nothing starts', async () => {
  const before = await list()
  expect(await start({ customField: 'nobody' })).toMatchObject({ status: 409, body: { code: 'action_refused' } })
  expect(await start({ state: 'stored' })).toMatchObject({ status: 409 })
  for (const filters of [{ state: 'lost' }, { from: 'yesterday' }, { cursor: 'x' }, { phone: '12' }, 'all'])
    expect(await start(filters as object)).toMatchObject({ status: 422, body: { code: 'invalid_fields' } })
  expect(await start({}, viewer)).toMatchObject({ status: 403, body: { code: 'role_required' } })
  for (const [id, status] of [
    ['7d1f2c1e-53a4-4a49-9d57-0c2f4a51b8ab', 404],
    ['x', 404],
  ] as const)
    expect((await post(backend.apiUrl, `${PATH}/${id}/cancel`, {}, operator.headers)).status).toBe(status)
  expect(await list()).toEqual(before)
})
