// What operators do to calls, with the whole backend: retry, stop, mark as not expected, start a pass.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { recordingWorkflowId, SCHEDULES } from '../../contracts/names.ts'
import { get, post } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { colleague, type Colleague } from '../support/roles.ts'
import { sample } from '../support/samples.ts'
import { newCallSid } from '../support/servers.ts'

let backend: Backend
let operator: Colleague
let viewer: Colleague
beforeAll(async () => {
  backend = await startBackend()
  ;[operator, viewer] = await Promise.all([colleague(backend, 'operator'), colleague(backend, 'viewer')])
})
afterEach(() => backend?.simulator.outage(0))
afterAll(() => backend?.stop())

const act = (path: string, body: object = {}, { headers }: Colleague = operator) =>
  post(backend.apiUrl, `/api/calls/${path}`, body, headers)
const rowOf = (callSid: string) => backend.callRow(callSid)
const becomes = (callSid: string, state: string) =>
  eventually(`${callSid} to be ${state}`, async () => (await rowOf(callSid))?.recording_state === state, 60_000)
const actionsOf = async (callSid: string) =>
  (
    await backend.database.query('SELECT action, user_email, reason, result FROM operator_actions WHERE call_sid = $1 ORDER BY id', [
      callSid,
    ])
  ).rows
const recordingOf = async (callSid: string) =>
  (await get<{ recordings: { id: string }[] }>(backend.apiUrl, `/api/calls/${callSid}`, operator.headers)).body.recordings[0]!.id
const done = (action: string, reason: string | null = null, result = 'done') => ({
  action,
  user_email: operator.person.email,
  reason,
  result,
})

/** Makes a call whose recording cannot be downloaded. */
async function failedCall() {
  const { call } = backend.simulator.call({ fault: 'html', recording: sample('short-vbr-id3.mp3') })
  await becomes(call.callSid, 'failed')
  await backend.concluded(call.callSid)
  return call
}

/** Makes a call for which Exotel has no recording, although it was long. */
async function missingCall() {
  const { call } = backend.simulator.call({ fault: 'none' })
  await becomes(call.callSid, 'failed')
  await backend.concluded(call.callSid)
  return call
}

/** Makes a call whose run waits: Exotel refuses the recording for a while. */
async function waitingCall() {
  const { call } = backend.simulator.call({ fault: 'rate-limited-long', recording: sample('short-vbr-id3.mp3') })
  call.availableAt = new Date(Date.now() + 600_000)
  await eventually('the recording to wait', async () => (await rowOf(call.callSid))?.recording_error_code === 'ExotelRateLimited', 60_000)
  return call
}

describe('When an operator retries a failed recording,', () => {
  test('then it is stored without waiting for recovery, however often the button is pressed', async () => {
    const call = await failedCall()
    call.fault = 'none'
    const path = `${call.callSid}/recordings/${await recordingOf(call.callSid)}/retry`
    const answers = await Promise.all([1, 2, 3].map(() => act(path, { reason: 'the customer asks' })))
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202])
    expect(answers.map(({ body }) => body.result).toSorted()).toEqual(['done', 'repeated', 'repeated'])
    await becomes(call.callSid, 'stored')
    const { rows } = await backend.database.query(`SELECT source FROM webhook_events WHERE call_sid = $1 AND source <> 'exotel'`, [
      call.callSid,
    ])
    expect(rows).toEqual([{ source: 'operator' }])
    const recorded = await actionsOf(call.callSid)
    expect(recorded).toHaveLength(3)
    expect(recorded).toContainEqual(done('retry', 'the customer asks'))
    expect(await act(path)).toMatchObject({ status: 409, body: { code: 'action_refused', detail: 'The recording is stored' } })
    expect((await actionsOf(call.callSid)).at(-1)).toEqual(done('retry', null, 'refused'))
  })

  test('then one that was given up is tried again, too', async () => {
    const call = await failedCall()
    await backend.database.query('UPDATE recordings SET next_try_at = NULL, given_up_at = now() WHERE call_sid = $1', [call.callSid])
    call.fault = 'none'
    await act(`${call.callSid}/recordings/${await recordingOf(call.callSid)}/retry`)
    await becomes(call.callSid, 'stored')
  })

  test('then a failed search starts again, and finds a recording that Exotel has now', async () => {
    const call = await missingCall()
    expect(await rowOf(call.callSid)).toMatchObject({ recording_error_code: 'RecordingMissing' })
    const later = backend.simulator.call({ fault: 'lost-webhook', recording: sample('short-vbr-id3.mp3') }).call
    call.recording = later.recording
    call.availableAt = new Date()
    expect(await act(`${call.callSid}/retry`)).toMatchObject({ status: 202, body: { result: 'done' } })
    await becomes(call.callSid, 'stored')
  })
})

describe('When a retry makes no sense, then it is refused with the reason, and nothing is started:', () => {
  test.each([
    ['none', /has not ended/],
    ['awaiting', /being transferred/],
    ['not_recorded', /no recording/],
    ['erased', /erased/],
  ])('%s', async (state, words) => {
    const callSid = newCallSid()
    await backend.database.query('INSERT INTO calls (call_sid, recording_state) VALUES ($1, $2)', [callSid, state])
    expect(await act(`${callSid}/retry`)).toMatchObject({
      status: 409,
      body: { code: 'action_refused', detail: expect.stringMatching(words) },
    })
    const { rowCount } = await backend.database.query('SELECT FROM webhook_events WHERE call_sid = $1', [callSid])
    expect(rowCount).toBe(0)
  })

  test('an unknown call, and a recording of another call', async () => {
    const call = await failedCall()
    expect((await act(`${newCallSid()}/retry`)).status).toBe(409)
    expect((await act(`${call.callSid}/retry`)).body.detail).toMatch(/retry one of them/)
    expect((await act(`${call.callSid}/recordings/999999/retry`)).body.detail).toMatch(/no such recording/)
  })
})

test('When an operator stops a run, then its recording is failed as Cancelled, and can be retried', async () => {
  const call = await waitingCall()
  expect(await act(`${call.callSid}/stop`, { reason: 'Exotel is overloaded' })).toMatchObject({ status: 202, body: { result: 'done' } })
  await becomes(call.callSid, 'failed')
  expect(await rowOf(call.callSid)).toMatchObject({ recording_error_code: 'Cancelled' })
  await backend.concluded(call.callSid)
  call.fault = 'none'
  call.availableAt = new Date()
  await act(`${call.callSid}/recordings/${await recordingOf(call.callSid)}/retry`)
  await becomes(call.callSid, 'stored')
  expect(await actionsOf(call.callSid)).toEqual([done('stop', 'Exotel is overloaded'), done('retry')])
  expect((await act(`${call.callSid}/stop`)).body.detail).toMatch(/No recording of the call is waited for/)
})

describe('When an operator marks a missing recording as not expected,', () => {
  test('then the call has no recording, with who and why, and recovery does not search again', async () => {
    const { callSid } = await missingCall()
    expect(await act(`${callSid}/not-expected`, { reason: 'a test call' })).toMatchObject({ status: 202, body: { result: 'done' } })
    expect(await rowOf(callSid)).toMatchObject({ recording_state: 'not_recorded', recording_error: null, recording_next_try_at: null })
    expect((await act(`${callSid}/not-expected`, { reason: 'again' })).body.result).toBe('repeated')
    expect(await actionsOf(callSid)).toEqual([done('mark_not_expected', 'a test call'), done('mark_not_expected', 'again', 'repeated')])
    const { body } = await get<{ attempts: { state: string }[] }>(backend.apiUrl, `/api/calls/${callSid}`, operator.headers)
    expect(body.attempts.map(({ state }) => state)).toEqual(['failed', 'not_recorded'])
  })

  test('then a reason is required, and a call with a named recording is refused', async () => {
    const { callSid } = await failedCall()
    for (const reason of [undefined, '', '  ', 'a\nb', 'x'.repeat(501)])
      expect(await act(`${callSid}/not-expected`, { reason })).toMatchObject({ status: 422 })
    expect(await act(`${callSid}/not-expected`, { reason: 'x' })).toMatchObject({
      status: 409,
      body: { detail: expect.stringMatching(/has named/) },
    })
    expect(await rowOf(callSid)).toMatchObject({ recording_state: 'failed' })
  })
})

test('When an operator starts a check now, then its workflow runs, and it is recorded', async () => {
  const start = (what: string, { headers }: Colleague = operator) => post(backend.apiUrl, '/api/operations/runs', { what }, headers)
  expect((await start('recovery', viewer)).status).toBe(403)
  expect((await start('everything')).status).toBe(422)
  for (const what of ['recovery', 'reconciliation', 'object-check'])
    expect(await start(what)).toMatchObject({ status: 202, body: { result: 'done' } })
  for (const id of [SCHEDULES.recovery, SCHEDULES.reconcile, SCHEDULES.objectCheck])
    await eventually(`${id} to have run`, async () => {
      const { recentActions } = (await backend.temporal.schedule.getHandle(id).describe()).info
      return recentActions.length > 0
    })
  const { body } = await get<{ actions: { action: string; userEmail: string }[] }>(
    backend.apiUrl,
    '/api/operations/actions',
    viewer.headers,
  )
  expect(body.actions.slice(0, 3).map(({ action }) => action)).toEqual(['start_object_check', 'start_reconciliation', 'start_recovery'])
  await eventually('the check to be listed', async () => {
    const { body } = await get<{ passes: object[]; checks: object[] }>(backend.apiUrl, '/api/operations/passes', viewer.headers)
    return body.checks.length > 0 && body.passes.length > 0
  })
})

test('When a viewer calls what is for operators, then nothing happens', async () => {
  const call = await waitingCall()
  for (const path of ['stop', 'retry', 'recordings/1/retry', 'not-expected'])
    expect(await act(`${call.callSid}/${path}`, { reason: 'x' }, viewer)).toMatchObject({ status: 403, body: { code: 'role_required' } })
  expect(await actionsOf(call.callSid)).toEqual([])
  expect((await backend.temporal.workflow.getHandle(recordingWorkflowId(call.callSid)).describe()).status.name).toBe('RUNNING')
})

test('When an operator does too much in a minute, then further actions get 429', async () => {
  const busy = await colleague(backend, 'operator')
  const answers = await Promise.all(Array.from({ length: 40 }, () => act(`${newCallSid()}/retry`, {}, busy)))
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(10)
})
