import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { startBackend, type Backend } from '../support/backend.ts'
import { mp3 } from '../support/audio.ts'
import { eventually } from '../support/eventually.ts'
import { GOOD_SAMPLES, sample } from '../support/samples.ts'
import { home, newCallSid } from '../support/servers.ts'
import { postRaw, postWebhook } from '../support/webhook.ts'

let backend: Backend
beforeAll(async () => {
  backend = await startBackend()
})
afterAll(() => backend?.stop())

describe('When ten calls with a valid recording end at once, then each is stored once with the same bytes:', () => {
  test.each(GOOD_SAMPLES)('%s', async (name) => {
    const made = Array.from({ length: 10 }, () => backend.simulator.call({ fault: 'none', recording: sample(name) }))
    for (const { call, told } of made) {
      await told
      expect(await backend.concluded(call.callSid)).toMatchObject({ recording_state: 'stored', recording_error: null, status: 'completed' })
      const [row, ...more] = await backend.recordingRows(call.callSid)
      expect(more).toEqual([])
      expect(row).toMatchObject({ state: 'stored', sha256: call.recording!.sha256, bytes: String(call.recording!.bytes.length) })
      expect(await backend.bucket.sha256Of(row!.object_key!)).toBe(call.recording!.sha256)
    }
  })
})

describe('When Exotel serves a file that is not complete audio, then the recording is quarantined or failed:', () => {
  test.each([
    ['empty.mp3', 'failed', 'RecordingInvalid'],
    ['header-only.wav', 'quarantined', 'RecordingDamaged'],
    ['login-page.mp3', 'failed', 'RecordingInvalid'],
    ['random.mp3', 'quarantined', 'RecordingDamaged'],
    ['truncated.mp3', 'quarantined', 'RecordingDamaged'],
    ['truncated.wav', 'quarantined', 'RecordingDamaged'],
  ])('%s is %s', async (name, state, code) => {
    const { call, told } = backend.simulator.call({ fault: 'none', recording: sample(`bad/${name}`) })
    await told
    expect(await backend.concluded(call.callSid)).toMatchObject({ recording_state: state, recording_error_code: code, recording_url: null })
    const [row] = await backend.recordingRows(call.callSid)
    expect(row!.state).toBe(state)
    if (state === 'quarantined') expect(await backend.bucket.sha256Of(row!.object_key!)).toBe(call.recording!.sha256)
    else expect(await backend.bucket.keys()).not.toContainEqual(expect.stringContaining(call.callSid))
    const run = await backend.temporal.workflow.getHandle(`recording-${call.callSid}`).describe()
    expect(run.status.name).toBe('FAILED')
  })
})

test('When a call has several recordings, then each is stored, and a repeated event changes nothing', async () => {
  const other = join(mkdtempSync(join(home, 'other-')), 'other.mp3')
  writeFileSync(other, mp3())
  const { call, told } = backend.simulator.call({ fault: 'none', recording: sample('short-vbr-id3.mp3') })
  const second = backend.simulator.call({ fault: 'lost-webhook', recording: other }).call
  await told
  await postWebhook(backend.apiUrl, 'recording', { CallSid: call.callSid, RecordingUrl: backend.simulator.linkTo(second) })
  await backend.concluded(call.callSid)
  const rows = await untilRows(call.callSid, 2)
  expect(rows.map(({ state, sha256 }) => [state, sha256])).toEqual([
    ['stored', call.recording!.sha256],
    ['stored', second.recording!.sha256],
  ])
  const before = await runsOf(call.callSid)
  await postWebhook(backend.apiUrl, 'recording', {
    CallSid: call.callSid,
    RecordingUrl: backend.simulator.linkTo(call),
    CustomField: 'again',
  })
  await relayed()
  expect(await runsOf(call.callSid)).toBe(before)
  expect((await backend.bucket.keys()).filter((key) => key.includes(call.callSid))).toHaveLength(2)
})

test.each(['busy', 'no-answer', 'failed'] as const)('When a call is %s, then it is not recorded, and its run completes', async (status) => {
  const { call, told } = backend.simulator.call({ fault: 'none', status })
  await told
  expect(await backend.concluded(call.callSid)).toMatchObject({ recording_state: 'not_recorded', recording_error: null, status })
  expect((await backend.temporal.workflow.getHandle(`recording-${call.callSid}`).describe()).status.name).toBe('COMPLETED')
})

test('When an answered call has no recording, then a short call is not recorded, and the recording of a long call is missing', async () => {
  const short = backend.simulator.call({ fault: 'none', durationSeconds: 1 })
  const long = backend.simulator.call({ fault: 'none', durationSeconds: 240 })
  await Promise.all([short.told, long.told])
  expect(await backend.concluded(short.call.callSid, 60_000)).toMatchObject({ recording_state: 'not_recorded', recording_error: null })
  expect(await backend.concluded(long.call.callSid, 60_000)).toMatchObject({
    recording_state: 'failed',
    recording_error_code: 'RecordingMissing',
  })
})

describe('When a webhook contains a link that must not be requested, then the row says why, and no request is sent:', () => {
  test.each([
    ['not a URL', 'RecordingUrlRefused'],
    ['file:///etc/passwd', 'RecordingUrlRefused'],
    ['http://169.254.169.254/latest', 'RecordingUrlRefused'],
    ['https://user:pw@127.0.0.1/', 'RecordingUrlRefused'],
    ['http://[fe80::1]/', 'RecordingUrlRefused'],
    ['https://example.org/1.mp3', 'RecordingHostNotAllowed'],
  ])('%s', async (RecordingUrl, code) => {
    const callSid = newCallSid()
    expect((await postWebhook(backend.apiUrl, 'recording', { CallSid: callSid, RecordingUrl, Status: 'completed' })).status).toBe(200)
    await relayed()
    expect(await backend.concluded(callSid)).toMatchObject({ recording_state: 'failed', recording_error_code: code })
  })
})

test('When a recording is stored, then the log lines of all steps and the attempt have the request id of the webhook', async () => {
  const { call } = backend.simulator.call({ fault: 'none', recording: sample('short-vbr-id3.mp3'), untold: true })
  const { callSid } = call
  const requestId = `follow-${callSid}`
  const body = JSON.stringify({ CallSid: callSid, Status: 'completed', RecordingUrl: backend.simulator.linkTo(call) })
  await postRaw(backend.apiUrl, 'call-end', body, { 'content-type': 'application/json', 'x-request-id': requestId })
  expect(await backend.concluded(callSid)).toMatchObject({ recording_state: 'stored' })
  const lines = (['api', 'worker'] as const).flatMap((name) =>
    backend
      .logs(name)
      .split('\n')
      .filter((line) => line.includes('"Recording') && line.includes(requestId))
      .map((line) => JSON.parse(line) as { msg: string; step?: string; callSid: string }),
  )
  expect(lines.map(({ msg, step }) => step ?? msg)).toEqual(['Recording event received', 'Recording stored', 'fastTransfer'])
  expect(new Set(lines.map((line) => line.callSid))).toEqual(new Set([callSid]))
  const attempts = await backend.database.query('SELECT request_id FROM recording_attempts WHERE call_sid = $1', [callSid])
  expect(attempts.rows).toEqual([{ request_id: requestId }])
})

test('When all calls are concluded, then no spool file and no open upload is left, and no history contains a phone number', async () => {
  expect(backend.spoolFiles()).toEqual([])
  expect(await backend.bucket.openUploads()).toBe(0)
  for await (const { workflowId } of backend.temporal.workflow.list()) {
    const history = await backend.temporal.workflow.getHandle(workflowId).fetchHistory()
    for (const event of history.events ?? []) {
      const text = Buffer.from(
        JSON.stringify(event, (_key, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString() : value)),
      ).toString()
      expect(text).not.toMatch(/9876543210|8045678901|token-of-the-account/)
    }
  }
})

async function relayed() {
  await eventually('all events to be relayed', async () => {
    const { rows } = await backend.database.query(`SELECT FROM webhook_events WHERE relay_state = 'pending'`)
    return rows.length === 0
  })
}

async function untilRows(callSid: string, stored: number) {
  return eventually(`${stored} stored recordings`, async () => {
    const rows = await backend.recordingRows(callSid)
    return rows.filter(({ state }) => state === 'stored').length === stored && rows
  })
}

async function runsOf(callSid: string) {
  let runs = 0
  for await (const _ of backend.temporal.workflow.list({ query: `CallSid = '${callSid}'` })) runs += 1
  return runs
}
