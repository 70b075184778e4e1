import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import type pg from 'pg'
import type { SimulatedCall } from '../../testing/simulator/call.ts'
import type { RecordingStatus } from '../../contracts/recording.ts'
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
  backend = await startBackend({ env: { WASABI_ENDPOINT: faulty.url, RECORDING_FAST_PATH_MAX_BYTES: '0' } })
})
afterAll(async () => {
  await backend?.stop()
  await faulty?.close()
})
beforeEach(async () => {
  locker = await backend.database.connect()
})
afterEach(() => locker.release(true))

async function atStep(callSid: string, step: string) {
  await eventually(`${callSid} to be at ${step}`, async () => {
    const status = await backend.temporal.workflow.getHandle(`recording-${callSid}`).query<RecordingStatus>('status')
    return status.step === step
  })
}

async function expectStoredOnce(call: SimulatedCall) {
  expect(await backend.concluded(call.callSid, 90_000)).toMatchObject({ recording_state: 'stored', recording_error: null })
  const keys = (await backend.bucket.keys()).filter((key) => key.includes(call.callSid))
  expect(keys).toHaveLength(1)
  expect(await backend.bucket.sha256Of(keys[0]!)).toBe(call.recording!.sha256)
  expect(backend.spoolFiles()).toEqual([])
}

async function killAndRestart() {
  expect(await backend.end('worker', 'SIGKILL')).toBe('SIGKILL')
  await backend.start('worker')
}

test('When the worker is killed in the middle of a download, then the recording is stored once', async () => {
  const { call } = backend.simulator.call({ fault: 'slow-drip', recording: sample('outbound-mono.mp3') })
  await eventually('some of it to be spooled', async () => backend.spoolFiles().length > 0)
  await killAndRestart()
  await expectStoredOnce(call)
})

test('When the worker is killed in the middle of a validation, then the recording is stored once', async () => {
  const { call } = backend.simulator.call({ fault: 'slow-drip', recording: sample('outbound-mono.mp3') })
  await eventually('some of it to be spooled', async () => backend.spoolFiles().length > 0)
  await locker.query('BEGIN; LOCK TABLE calls IN ACCESS EXCLUSIVE MODE') // validation reads the duration of the call
  await atStep(call.callSid, 'validate')
  await backend.end('worker', 'SIGKILL')
  await locker.query('ROLLBACK')
  await backend.start('worker')
  await expectStoredOnce(call)
})

test('When the worker is killed in the middle of an upload and of an update of the rows, then both recordings are stored once', async () => {
  const held = faulty.hold('PUT')
  const uploading = backend.simulator.call({ fault: 'none', recording: sample('inbound-dual.mp3') }).call
  await held.reached
  const heldToo = faulty.hold('PUT')
  const updating = backend.simulator.call({ fault: 'none', recording: sample('short-vbr-id3.mp3') }).call
  await heldToo.reached
  await locker.query('BEGIN')
  await locker.query('SELECT FROM calls WHERE call_sid = $1 FOR UPDATE', [updating.callSid])
  heldToo.release()
  await atStep(updating.callSid, 'update')
  await backend.end('worker', 'SIGKILL')
  await locker.query('ROLLBACK')
  held.release()
  await backend.start('worker')
  await expectStoredOnce(uploading)
  await expectStoredOnce(updating)
})

test('When the worker is killed after a download and its spool is deleted, then the recording is downloaded again', async () => {
  const held = faulty.hold('PUT')
  const { call } = backend.simulator.call({ fault: 'none', recording: sample('voicemail-pcm.wav') })
  await held.reached
  await backend.end('worker', 'SIGKILL')
  backend.wipeSpool()
  held.release()
  await backend.start('worker')
  await expectStoredOnce(call)
})
