// A worker that is killed on the fast path. Temporal repeats the workflow task, and another local activity transfers the recording.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type pg from 'pg'
import type { SimulatedCall } from '../../testing/simulator/call.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { sample } from '../support/samples.ts'

let faulty: FaultyS3
let backend: Backend
/** Connection with the role of the owner, because the role of the application must not lock tables. */
let locker: pg.PoolClient
beforeAll(async () => {
  faulty = await startFaultyS3()
  backend = await startBackend({ env: { WASABI_ENDPOINT: faulty.url } })
  locker = await backend.database.connect()
})
afterAll(async () => {
  locker?.release(true)
  await backend?.stop()
  await faulty?.close()
})

const callWith = (recording: string, fault: 'none' | 'slow-drip' = 'none') =>
  backend.simulator.call({ fault, recording: sample(recording) }).call

async function untilStatementWaits(text: string) {
  await eventually(`a statement with ${text} to wait for a lock`, async () => {
    const waiting = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%'`
    return (await backend.database.query(waiting, [text])).rowCount! > 0
  })
}

async function expectStoredOnce(call: SimulatedCall) {
  expect(await backend.concluded(call.callSid, 90_000)).toMatchObject({ recording_state: 'stored', recording_error: null })
  const keys = (await backend.bucket.keys()).filter((key) => key.includes(call.callSid))
  expect(keys).toHaveLength(1)
  expect(await backend.bucket.sha256Of(keys[0]!)).toBe(call.recording!.sha256)
}

test('When the worker is killed during a download, an upload and an update of the rows, then each recording is stored once', async () => {
  const downloading = callWith('outbound-mono.mp3', 'slow-drip')
  await eventually('some of it to be spooled', async () => backend.spoolFiles().length > 0)
  const held = faulty.hold('PUT')
  const uploading = callWith('inbound-dual.mp3')
  await held.reached
  const heldToo = faulty.hold('PUT')
  const updating = callWith('short-vbr-id3.mp3')
  await heldToo.reached
  await locker.query('BEGIN')
  await locker.query('SELECT FROM calls WHERE call_sid = $1 FOR UPDATE', [updating.callSid])
  heldToo.release()
  await untilStatementWaits('recording_state')
  expect(await backend.end('worker', 'SIGKILL')).toBe('SIGKILL')
  await locker.query('ROLLBACK')
  held.release()
  await backend.start('worker')
  for (const call of [downloading, uploading, updating]) await expectStoredOnce(call)
  expect(backend.spoolFiles()).toEqual([])
})

test('When the worker is killed during a validation, then the recording is stored once', async () => {
  const { call } = backend.simulator.call({ fault: 'slow-drip', recording: sample('outbound-mono.mp3') })
  await eventually('some of it to be spooled', async () => backend.spoolFiles().length > 0)
  await locker.query('BEGIN; LOCK TABLE calls IN ACCESS EXCLUSIVE MODE') // validation reads the duration of the call
  await untilStatementWaits('SELECT duration_seconds')
  expect(await backend.end('worker', 'SIGKILL')).toBe('SIGKILL')
  await locker.query('ROLLBACK')
  await backend.start('worker')
  await expectStoredOnce(call)
  expect(backend.spoolFiles()).toEqual([])
})
