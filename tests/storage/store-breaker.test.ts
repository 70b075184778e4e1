// The circuit breaker around the store: when uploads stop, and when they are allowed again.
import { CancelledFailure } from '@temporalio/common'
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { UploadInput } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { eventually } from '../support/eventually.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { spoolRecording } from '../support/spooled.ts'

/** The first pause of the breaker is 50 ms instead of 5 s. */
const SHORT_PAUSES = 0.01
/** The breaker stays open for longer than any test takes. */
const LONG_PAUSES = 100

let faulty: FaultyS3
let bench: Workbench
/** A workbench whose breaker has long pauses. */
let patient: Workbench
beforeAll(async () => {
  faulty = await startFaultyS3()
  bench = await openWorkbench({ s3Endpoint: faulty.url, waitScale: SHORT_PAUSES })
  patient = await openWorkbench({ s3Endpoint: faulty.url, waitScale: LONG_PAUSES })
})
afterAll(async () => {
  await Promise.all([bench?.close(), patient?.close()])
  await faulty?.close()
})
beforeEach(() => {
  faulty.reset()
  bench.restart()
  patient.restart()
})

const spool = () => spoolRecording(bench)
const upload = (input: UploadInput) => bench.run('uploadRecording', input)
const failure = (type: string, more: object = {}) => expect.objectContaining({ type, ...more })
const times = <T>(count: number, each: T): T[] => Array.from({ length: count }, () => each)
const waits = { nonRetryable: false, category: 'BENIGN' }

describe('When the store fails five times in a row', () => {
  const unavailable = { status: 503, code: 'ServiceUnavailable' }
  const open = async (on: Workbench) => {
    faulty.next('HEAD', ...times(5, unavailable))
    for (let i = 0; i < 5; i += 1) {
      const { input } = await spoolRecording(on)
      await expect(on.run('uploadRecording', input)).rejects.toEqual(failure('StorageUnavailable', waits))
    }
    expect(on.alarms.active().map(({ name }) => name)).toEqual(['StorageUnavailable'])
  }

  test('then uploads wait without a request', async () => {
    await open(patient)
    const { input } = await spoolRecording(patient)
    faulty.requests.length = 0
    await expect(patient.run('uploadRecording', input)).rejects.toEqual(
      failure('StorageUnavailable', { ...waits, message: 'S3 is unavailable' }),
    )
    expect(faulty.requests).toEqual([])
  })

  test('then they wait until one attempt finds the store available again', async () => {
    await open(bench)
    const { input } = await spool()
    await eventually('an upload to succeed', () => upload(input).catch(() => undefined))
    expect(bench.alarms.active()).toEqual([])
    expect(await bench.bucket.keys()).toContainEqual(expect.stringContaining(input.callSid))
  })

  test('then only one upload is attempted, and the others wait until it has ended', async () => {
    await open(bench)
    const trying = await spool()
    const { reached, release } = faulty.hold('HEAD')
    const trial = eventually('one attempt to start', () =>
      upload(trying.input).then(
        () => true,
        () => false,
      ),
    )
    await reached
    const { input } = await spool()
    await expect(upload(input)).rejects.toEqual(failure('StorageUnavailable', waits))
    release()
    await trial
    await upload(input)
  })

  test('then one large upload does not delay the others, because a short probe lets all of them through', async () => {
    await open(bench)
    const large = await spool()
    const small = await spool()
    const { reached, release } = faulty.hold('PUT', new RegExp(large.input.callSid))
    const slow = eventually('the store to be available again', () => upload(large.input).catch(() => undefined))
    await reached
    await upload(small.input)
    release()
    await slow
  })

  test('then a store that can be read but not written stays unavailable, and no upload is sent to it', async () => {
    const puts: { status: number; code: string }[] = times(200, unavailable)
    faulty.next('PUT', ...puts)
    for (let i = 0; i < 5; i += 1) await expect(upload((await spool()).input)).rejects.toEqual(failure('StorageUnavailable', waits))
    const { input } = await spool()
    faulty.requests.length = 0
    const probes = () => faulty.requests.filter(({ method, url }) => method === 'PUT' && url.includes('.probe'))
    const twoProbes = async () => {
      await expect(upload(input)).rejects.toEqual(failure('StorageUnavailable', waits))
      return probes().length === 2
    }
    await eventually('two probes', twoProbes, 5000)
    expect(faulty.requests.filter(({ url }) => url.includes(input.callSid))).toEqual([])
    expect(bench.alarms.active().map(({ name }) => name)).toEqual(['StorageUnavailable'])
    faulty.next('PUT')
    await eventually('the store to be available again', () => upload(input).catch(() => undefined))
    expect(bench.alarms.active()).toEqual([])
    expect(await bench.bucket.openUploads()).toBe(0)
  })

  test.each([
    ['whose file is lost', (path: string) => rmSync(path), undefined],
    ['that a shutdown stops', () => {}, 'WORKER_SHUTDOWN'],
    ['that is cancelled', () => {}, 'CANCELLED'],
  ])('then an upload %s among them does not count as a success', async (_which, spoil, stop) => {
    faulty.next('PUT', ...times(5, unavailable))
    for (let i = 0; i < 5; i += 1) {
      if (i === 3) await stoppedUpload(spoil, stop)
      await expect(upload((await spool()).input)).rejects.toEqual(failure('StorageUnavailable', waits))
    }
    expect(bench.alarms.active().map(({ name }) => name)).toEqual(['StorageUnavailable'])
    const { input } = await spool()
    await eventually('the store to be available again', () => upload(input).catch(() => undefined))
  })

  async function stoppedUpload(spoil: (path: string) => void, stop: string | undefined): Promise<void> {
    const { input, path } = await spool()
    spoil(path)
    const environment = bench.environment()
    if (stop) environment.cancel(stop as never)
    await expect(environment.run(bench.activities.uploadRecording, input)).rejects.toThrow()
  }

  test('then a probe that is running during a shutdown or a cancellation is still finished', async () => {
    await open(bench)
    const { input } = await spool()
    const environment = bench.environment()
    const { reached, release } = faulty.hold('HEAD', /probe|recordings/)
    const first = eventually('a probe', async () => {
      const error: unknown = await environment.run(bench.activities.uploadRecording, input).catch((each: unknown) => each)
      return error instanceof CancelledFailure
    })
    await reached
    environment.cancel()
    release()
    await first
    await upload((await spool()).input)
    expect(bench.alarms.active()).toEqual([])
  })
})

describe('When six uploads in a row fail', () => {
  test.each(['WORKER_SHUTDOWN', 'CANCELLED'])(
    'because they are stopped by %s during a request, then the breaker stays closed',
    async (reason) => {
      for (let i = 0; i < 6; i += 1) {
        const { input } = await spoolRecording(patient)
        const { reached, release } = faulty.hold('PUT')
        const environment = patient.environment()
        const stopped = environment.run(patient.activities.uploadRecording, input).catch((error: unknown) => error)
        await reached
        environment.cancel(reason as never)
        expect(await stopped).toBeInstanceOf(Error)
        release()
      }
      expect(patient.alarms.active()).toEqual([])
      await patient.run('uploadRecording', (await spoolRecording(patient)).input)
    },
  )

  test('because of faults of single objects, then the breaker stays closed', async () => {
    faulty.next('PUT', ...times(6, { status: 400, code: 'BadDigest' }))
    for (let i = 0; i < 6; i += 1) {
      const { input } = await spoolRecording(patient)
      await expect(patient.run('uploadRecording', input)).rejects.toEqual(failure('StorageUnavailable', waits))
    }
    expect(patient.alarms.active()).toEqual([])
    await patient.run('uploadRecording', (await spoolRecording(patient)).input)
  })

  test('because their files are lost, then the breaker stays closed', async () => {
    for (let i = 0; i < 6; i += 1) {
      const { input, path } = await spoolRecording(patient)
      rmSync(path)
      await expect(patient.run('uploadRecording', input)).rejects.toEqual(failure('SpoolFileLost', { nonRetryable: true }))
    }
    expect(patient.alarms.active()).toEqual([])
    await patient.run('uploadRecording', (await spoolRecording(patient)).input)
  })
})

test('When the store refuses a single object between failures, then the failures are not in a row', async () => {
  const unavailable = { status: 503, code: 'ServiceUnavailable' }
  faulty.next('PUT', ...times(4, unavailable), { status: 400, code: 'BadDigest' }, ...times(4, unavailable))
  for (let i = 0; i < 9; i += 1) {
    const { input } = await spoolRecording(patient)
    await expect(patient.run('uploadRecording', input)).rejects.toEqual(failure('StorageUnavailable', waits))
  }
  expect(patient.alarms.active()).toEqual([])
  await patient.run('uploadRecording', (await spoolRecording(patient)).input)
})
