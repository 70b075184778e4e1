import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { RECORDING_WORKFLOW, RECORDINGS_QUEUE, recordingWorkflowId, SCHEDULES } from '../../contracts/names.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { sample } from '../support/samples.ts'
import { postWebhook } from '../support/webhook.ts'
import { newCallSid } from '../support/servers.ts'

let backend: Backend
beforeAll(async () => {
  backend = await startBackend({ env: { RECOVERY_EVERY_MINUTES: '3' } }) // a second here
})
afterAll(() => backend?.stop())

const call = () => backend.simulator.call({ fault: 'none', recording: sample('short-vbr-id3.mp3') }).call
const stateOf = async (callSid: string) => (await backend.callRow(callSid))?.recording_state
const becomes = (callSid: string, state: string) =>
  eventually(`${callSid} to be ${state}`, async () => (await stateOf(callSid)) === state, 60_000)
const attemptsOf = async (callSid: string) =>
  (await backend.database.query('SELECT state, error_code FROM recording_attempts WHERE call_sid = $1 ORDER BY id', [callSid])).rows
const objectsOf = async (callSid: string) => (await backend.bucket.keys()).filter((key) => key.includes(callSid))

test('When Exotel is unavailable until a recording has failed, then recovery stores it later, and every attempt is recorded', async () => {
  backend.simulator.outage(503)
  const { callSid } = call()
  await becomes(callSid, 'failed')
  expect(await backend.callRow(callSid)).toMatchObject({
    recording_error_code: 'ExotelUnavailable',
    recording_next_try_at: expect.any(Date),
  })
  backend.simulator.outage(0)
  await becomes(callSid, 'stored')
  expect(await attemptsOf(callSid)).toEqual([
    { state: 'failed', error_code: 'ExotelUnavailable' },
    { state: 'stored', error_code: null },
  ])
  expect(await objectsOf(callSid)).toHaveLength(1)
})

test('When a failed recording is due while another one of its call is still awaited, then the open run stores it', async () => {
  const first = call()
  first.fault = 'rate-limited-long' // the run waits for this without limit, however long the second takes
  first.availableAt = new Date(Date.now() + 600_000)
  await eventually(
    'the first to be awaited',
    async () => (await backend.callRow(first.callSid))?.recording_error_code === 'ExotelRateLimited',
  )
  const { link } = await backend.simulator.further(first, sample('voicemail-pcm.wav'), 'plain')
  const second = [...backend.simulator.calls.values()].find(({ partOf }) => partOf === first.callSid)!
  second.fault = 'wrong-length'
  const rowOf = async () => (await backend.recordingRows(first.callSid)).find(({ source_url }) => source_url === link)
  await eventually('the second to be quarantined', async () => (await rowOf())?.state === 'quarantined', 60_000)
  second.fault = 'none'
  await eventually('the second to be stored', async () => (await rowOf())?.state === 'stored', 60_000)
  expect((await backend.recordingRows(first.callSid)).find(({ source_url }) => source_url !== link)).toMatchObject({ state: 'awaiting' })
  first.availableAt = new Date()
  await backend.concluded(first.callSid, 60_000)
  expect((await backend.recordingRows(first.callSid)).map(({ state }) => state)).toEqual(['stored', 'stored'])
})

test('When a damaged recording is complete later, then the complete copy replaces it', async () => {
  const made = call()
  const whole = made.recording!
  made.recording = { ...whole, bytes: whole.bytes.subarray(0, whole.bytes.length - 700), etag: '"half"' }
  await becomes(made.callSid, 'quarantined')
  made.recording = whole
  await becomes(made.callSid, 'stored')
  const rows = await backend.recordingRows(made.callSid)
  expect(rows).toMatchObject([{ state: 'stored', sha256: whole.sha256, error_code: null }])
  const { rows: kept } = await backend.database.query(
    `SELECT object_key FROM recording_attempts WHERE call_sid = $1 AND state = 'quarantined'`,
    [made.callSid],
  )
  const [known] = kept as { object_key: string }[]
  expect((await objectsOf(made.callSid)).toSorted()).toEqual([known!.object_key, rows[0]!.object_key].toSorted())
})

describe('When the workflow of a waiting call no longer exists, then recovery starts a new one:', () => {
  test.each(['terminated', 'deleted'])('%s', async (how) => {
    backend.simulator.outage(401) // the workflow waits with an alarm
    const { call: made, told } = backend.simulator.call({ fault: 'none', recording: sample('short-vbr-id3.mp3') })
    const { callSid } = made
    await told
    await eventually('all its events to be relayed', async () => {
      const { rowCount } = await backend.database.query(`SELECT FROM webhook_events WHERE call_sid = $1 AND relay_state = 'pending'`, [
        callSid,
      ])
      return rowCount === 0
    })
    const workflow = backend.temporal.workflow.getHandle(recordingWorkflowId(callSid))
    await eventually('the workflow to run', async () => (await workflow.describe()).status.name === 'RUNNING')
    if (how === 'terminated') await workflow.terminate('by hand')
    else {
      const workflowExecution = { workflowId: workflow.workflowId }
      await backend.temporal.workflowService.deleteWorkflowExecution({ namespace: backend.temporal.options.namespace, workflowExecution })
    }
    await eventually('the workflow to have ended', async () =>
      workflow.describe().then(
        ({ status }) => status.name !== 'RUNNING',
        () => true,
      ),
    )
    backend.simulator.outage(0)
    await becomes(callSid, 'stored')
    const { rows } = await backend.database.query(`SELECT source FROM webhook_events WHERE call_sid = $1 AND source = 'recovery'`, [
      callSid,
    ])
    expect(rows.length).toBeGreaterThanOrEqual(1)
    expect(await objectsOf(callSid)).toHaveLength(1)
  })
})

test('When a call-end arrives again after Temporal has deleted the workflow, then no workflow starts', async () => {
  const { callSid } = call()
  await backend.concluded(callSid)
  const workflowExecution = { workflowId: recordingWorkflowId(callSid) }
  await backend.temporal.workflowService.deleteWorkflowExecution({ namespace: backend.temporal.options.namespace, workflowExecution })
  await postWebhook(backend.apiUrl, 'call-end', { CallSid: callSid, Status: 'completed', ConversationDuration: '43' })
  await eventually('the relay to mark the event', async () => {
    const { rowCount } = await backend.database.query(
      `SELECT FROM webhook_events WHERE call_sid = $1 AND relay_state = 'nothing_new' AND fields->>'ConversationDuration' = '43'`,
      [callSid],
    )
    return rowCount === 1
  })
  expect(await attemptsOf(callSid)).toHaveLength(1)
})

test('When a stored object is missing, then the object check finds that, and recovery downloads the recording again', async () => {
  const { callSid } = call()
  await backend.concluded(callSid)
  const [Key] = await objectsOf(callSid)
  await backend.bucket.client.send(new DeleteObjectCommand({ Bucket: backend.bucket.name, Key }))
  await backend.temporal.schedule.getHandle(SCHEDULES.objectCheck).trigger()
  await eventually('the row of the check', async () => (await backend.database.query('SELECT FROM object_checks')).rowCount === 1)
  await eventually('the object to exist again', async () => (await objectsOf(callSid)).includes(Key!), 60_000)
  await becomes(callSid, 'stored')
  expect((await attemptsOf(callSid)).map(({ state }) => state)).toEqual(['stored', 'failed', 'stored'])
})

test('When the workflow tasks of an open run fail, then an alarm is raised, and the workflow is not started again', async () => {
  const callSid = newCallSid()
  const workflow = await backend.temporal.workflow.start(RECORDING_WORKFLOW, {
    workflowId: recordingWorkflowId(callSid),
    taskQueue: RECORDINGS_QUEUE,
    args: [], // without input the workflow's code throws
  })
  await backend.database.query(
    `INSERT INTO calls (call_sid, recording_state, updated_at) VALUES ($1, 'awaiting', now() - interval '1 hour')`,
    [callSid],
  )
  const alarms = async () => ((await (await fetch(backend.workerHealthUrl)).json()) as { alarms: { name: string }[] }).alarms
  await eventually('the alarm', async () => (await alarms()).some(({ name }) => name === 'WorkflowsStuck'), 240_000)
  const { rowCount } = await backend.database.query('SELECT FROM webhook_events WHERE call_sid = $1', [callSid])
  expect(rowCount).toBe(0)
  await workflow.terminate()
  await backend.database.query(`UPDATE calls SET recording_state = 'none' WHERE call_sid = $1`, [callSid])
  await eventually('the alarm to end', async () => (await alarms()).length === 0, 60_000)
}, 1_500_000)

test('When a recording is given up, then a log line, a metric and its row say so', async () => {
  const callSid = newCallSid()
  await postWebhook(backend.apiUrl, 'recording', {
    CallSid: callSid,
    RecordingUrl: 'ftp://recordings.exotel.com/1.mp3',
    Status: 'completed',
  })
  await becomes(callSid, 'failed')
  expect(await backend.callRow(callSid)).toMatchObject({
    recording_error_code: 'RecordingUrlRefused',
    recording_next_try_at: null,
    recording_given_up_at: expect.any(Date),
  })
  expect(backend.logs('worker')).toContain('Recording given up')
  const metrics = await (await fetch(backend.workerHealthUrl.replace('/health', '/metrics'))).text()
  expect(metrics).toContain('caly_recordings_given_up_total{code="RecordingUrlRefused"} 1')
})

test('When a worker starts again, then each schedule exists once, with the new interval, and a paused one stays paused', async () => {
  const handle = backend.temporal.schedule.getHandle(SCHEDULES.recovery)
  const everyOf = async () => (await handle.describe()).spec.intervals![0]!.every
  expect(await everyOf()).toBe(1000)
  await handle.pause('by a person')
  await backend.end('worker', 'SIGTERM')
  await backend.start('worker', { RECOVERY_EVERY_MINUTES: '360' })
  await eventually('the new interval', async () => (await everyOf()) === 120_000)
  expect((await handle.describe()).state).toMatchObject({ paused: true, note: 'by a person' })
  const ids: string[] = []
  for await (const { scheduleId } of backend.temporal.schedule.list()) ids.push(scheduleId)
  expect(ids.toSorted()).toEqual(Object.values(SCHEDULES).toSorted())
})
