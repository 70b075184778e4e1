// The circuit breaker between uploads and a store that is away.
import { CancelledFailure } from '@temporalio/common'
import { rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import type { StoredObject } from '../../workflows/contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { spoolRecording, type SpooledRecording } from '../support/spooled.ts'

/** The breaker's pauses: each one is twice the one before. */
const [FIRST_MS, SECOND_MS, THIRD_MS] = [5000, 10_000, 20_000]
const FAILURES = 5
const AWAY = { status: 503, code: 'ServiceUnavailable' }

const realNow = Date.now
let laterMs: number
let faulty: FaultyS3
let bench: Workbench
/** The breaker measures its pauses with `Date.now`: a test advances the clock instead of waiting. */
beforeEach(async () => {
  laterMs = 0
  jest.spyOn(Date, 'now').mockImplementation(() => realNow() + laterMs)
  faulty = await startFaultyS3()
  bench = await openWorkbench({ s3Endpoint: faulty.url })
})
afterEach(async () => {
  await bench?.close()
  await faulty?.close()
  jest.restoreAllMocks()
})

const spool = () => spoolRecording(bench)
const upload = ({ input }: SpooledRecording): Promise<StoredObject> => bench.run('uploadRecording', input)
const alarms = () => bench.alarms.active().map(({ name }) => name)
const waiting = (message: unknown = expect.any(String)) =>
  expect.objectContaining({ type: 'StorageUnavailable', nonRetryable: false, category: 'BENIGN', message })
const requestsOf = ({ input }: SpooledRecording) => faulty.requests.filter(({ url }) => url.includes(input.callSid))
const probes = () => faulty.requests.filter(({ method, url }) => method === 'PUT' && url.includes('.probe'))

async function failUpload(): Promise<void> {
  await expect(upload(await spool())).rejects.toEqual(waiting())
}

/** Five uploads fail at their first request. */
async function open(): Promise<void> {
  faulty.next('HEAD', ...Array.from({ length: FAILURES }, () => AWAY))
  for (let i = 0; i < FAILURES; i += 1) await failUpload()
  expect(alarms()).toEqual(['StorageUnavailable'])
  faulty.requests.length = 0
}

describe('When the store fails five times in a row', () => {
  test('then uploads wait without a request until the pause has passed, and the next one finds the store back', async () => {
    await open()
    const recording = await spool()
    await expect(upload(recording)).rejects.toEqual(waiting('S3 is away'))
    expect(faulty.requests).toEqual([])
    laterMs += FIRST_MS
    await upload(recording)
    expect(alarms()).toEqual([])
  })

  test('then only one upload probes the store; the others wait meanwhile', async () => {
    await open()
    laterMs += FIRST_MS
    const { reached, release } = faulty.hold('HEAD')
    const probing = upload(await spool())
    await reached
    const other = await spool()
    await expect(upload(other)).rejects.toEqual(waiting('S3 is away; another upload tries whether it is back'))
    expect(requestsOf(other)).toEqual([])
    release()
    await probing
    await upload(other)
  })

  test('then one large upload does not keep the others waiting: a short probe lets all of them through', async () => {
    await open()
    laterMs += FIRST_MS
    const large = await spool()
    const { reached, release } = faulty.hold('PUT', new RegExp(large.input.callSid))
    const slow = upload(large)
    await reached
    await upload(await spool())
    release()
    await slow
  })

  test('then a store that can be read but not written is not back, and no upload is sent to it', async () => {
    faulty.next('PUT', ...Array.from({ length: 200 }, () => AWAY))
    for (let i = 0; i < FAILURES; i += 1) await failUpload()
    const recording = await spool()
    faulty.requests.length = 0
    for (const [pauseMs, probed] of [
      [FIRST_MS, 1],
      [SECOND_MS, 2],
    ] as const) {
      laterMs += pauseMs
      await expect(upload(recording)).rejects.toEqual(waiting(expect.stringContaining('S3 is away: ')))
      await expect(upload(recording)).rejects.toEqual(waiting('S3 is away'))
      expect(probes()).toHaveLength(probed)
    }
    expect(requestsOf(recording)).toEqual([])
    expect(alarms()).toEqual(['StorageUnavailable'])
    faulty.next('PUT')
    laterMs += THIRD_MS
    await upload(recording)
    expect(alarms()).toEqual([])
    expect(await bench.bucket.openUploads()).toBe(0)
  })

  test('then a probe that a cancellation finds under way is finished all the same', async () => {
    await open()
    laterMs += FIRST_MS
    const environment = bench.environment()
    const { reached, release } = faulty.hold('HEAD')
    const cancelled = environment.run(bench.activities.uploadRecording, (await spool()).input).catch((error: unknown) => error)
    await reached
    environment.cancel()
    release()
    expect(await cancelled).toBeInstanceOf(CancelledFailure)
    await upload(await spool())
    expect(alarms()).toEqual([])
  })

  test.each([
    ['whose file is lost', (path: string) => rmSync(path), undefined],
    ['that a shutdown stops', () => {}, 'WORKER_SHUTDOWN'],
    ['that is cancelled', () => {}, 'CANCELLED'],
  ])('then an upload %s among them is no success', async (_which, spoil, stop) => {
    faulty.next('PUT', ...Array.from({ length: FAILURES }, () => AWAY))
    for (let i = 0; i < FAILURES; i += 1) {
      if (i === 3) await stoppedUpload(spoil, stop)
      await failUpload()
    }
    expect(alarms()).toEqual(['StorageUnavailable'])
  })

  async function stoppedUpload(spoil: (path: string) => void, stop: string | undefined): Promise<void> {
    const { input, path } = await spool()
    spoil(path)
    const environment = bench.environment()
    if (stop) environment.cancel(stop as never)
    await expect(environment.run(bench.activities.uploadRecording, input)).rejects.toThrow()
  }
})

test('When single objects are refused six times in a row, then the breaker counts none of them', async () => {
  faulty.next('PUT', ...Array.from({ length: FAILURES + 1 }, () => ({ status: 400, code: 'BadDigest' })))
  for (let i = 0; i <= FAILURES; i += 1) await failUpload()
  expect(alarms()).toEqual([])
  await upload(await spool())
})

test('When an upload succeeds between failures, then they are not in a row', async () => {
  faulty.next('HEAD', ...Array.from({ length: FAILURES - 1 }, () => AWAY))
  for (let i = 0; i < FAILURES - 1; i += 1) await failUpload()
  await upload(await spool())
  faulty.next('HEAD', AWAY)
  await failUpload()
  expect(alarms()).toEqual([])
  await upload(await spool())
})
