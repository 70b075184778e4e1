// Several attempts to upload one recording: given up, cancelled, and side by side in two processes.
import { CompleteMultipartUploadCommand, ListPartsCommand } from '@aws-sdk/client-s3'
import { ActivityCancellationDetails } from '@temporalio/common'
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { StoredObject } from '../../workflows/contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { wav } from '../support/audio.ts'
import { eventually } from '../support/eventually.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { spoolRecording, type SpooledRecording } from '../support/spooled.ts'

const MB = 1024 ** 2
/** More than one part. */
const LARGE = wav({ seconds: 0, channels: 2, sampleRate: 8000, dataSize: 70 * MB })

let faulty: FaultyS3
let bench: Workbench
beforeAll(async () => {
  faulty = await startFaultyS3()
  bench = await openWorkbench({ s3Endpoint: faulty.url, singlePutMaxBytes: MB })
})
afterAll(async () => {
  await bench?.close()
  await faulty?.close()
})

const large = (): Promise<SpooledRecording> => spoolRecording(bench, { bytes: Buffer.concat([LARGE, Buffer.alloc(70 * MB)]) })
const upload = ({ input }: SpooledRecording): Promise<StoredObject> => bench.run('uploadRecording', input)
const ofCall = ({ input }: SpooledRecording, more = ''): RegExp => new RegExp(`${input.callSid}.*${more}`)
const expectStored = async (recording: SpooledRecording, { key }: StoredObject): Promise<void> => {
  expect(await bench.bucket.sha256Of(key)).toBe(recording.input.spooled.sha256)
  expect((await bench.bucket.keys()).filter((each) => each.includes(recording.input.callSid))).toEqual([key])
}

describe('When an attempt stops in the middle of an upload in parts', () => {
  async function stopInTheMiddle(recording: SpooledRecording, reason: string, details: object): Promise<void> {
    const environment = bench.environment()
    const { reached, release } = faulty.hold('PUT', ofCall(recording, 'partNumber=2'))
    const stopped = environment.run(bench.activities.uploadRecording, recording.input).catch((error: unknown) => error)
    await reached
    environment.cancel(reason as never, new ActivityCancellationDetails(details))
    await stopped
    release()
  }

  test.each([
    ['TIMED_OUT', { timedOut: true }],
    ['NOT_FOUND', { notFound: true }],
    ['PAUSED', { paused: true }],
    ['WORKER_SHUTDOWN', { workerShutdown: true }],
  ])('because of %s, then its successor continues the upload', async (reason, details) => {
    const recording = await large()
    await stopInTheMiddle(recording, reason, details)
    expect(await bench.bucket.openUploads()).toBe(1)
    faulty.requests.length = 0
    await expectStored(recording, await upload(recording))
    expect(faulty.requests.filter(({ url }) => url.includes('partNumber=1'))).toEqual([])
    expect(await bench.bucket.openUploads()).toBe(0)
  })

  test('because its workflow cancelled it, then nothing of the upload stays', async () => {
    await stopInTheMiddle(await large(), 'CANCELLED', { cancelRequested: true })
    await eventually('the upload to be ended', async () => (await bench.bucket.openUploads()) === 0)
  })
})

describe('When two attempts upload one recording at the same time', () => {
  test('and the other one completes the shared upload first, then both succeed and there is one object', async () => {
    const recording = await large()
    const { reached, release } = faulty.hold('POST', ofCall(recording, 'uploadId='))
    const late = upload(recording)
    await reached
    await completeAsAnother(recording)
    release()
    await expectStored(recording, await late)
    expect(await bench.bucket.openUploads()).toBe(0)
  })

  test('and the other one is cancelled and ends the shared upload, then the task of this one waits, and begins a new upload', async () => {
    const recording = await large()
    const { reached, release } = faulty.hold('PUT', ofCall(recording, 'partNumber=2'))
    const successor = upload(recording).catch(() => upload(recording)) // the server may break the connection instead of answering
    await reached
    const environment = bench.environment()
    const held = faulty.hold('PUT', ofCall(recording, 'partNumber=2')) // its own
    const cancelled = environment.run(bench.activities.uploadRecording, recording.input).catch((error: unknown) => error)
    await held.reached
    environment.cancel()
    await cancelled
    await eventually('the upload to be ended', async () => (await bench.bucket.openUploads()) === 0)
    release()
    held.release()
    await expectStored(recording, await successor)
    expect(await bench.bucket.openUploads()).toBe(0)
  })

  test.each([
    ['in parts', large],
    ['in one request', () => spoolRecording(bench)],
  ])('as two processes, %s, then both succeed', async (_how, spool) => {
    const recording = await spool()
    const other = await openWorkbench({ s3Endpoint: faulty.url, singlePutMaxBytes: MB, bucket: bench.bucket.name })
    copyFileSync(recording.path, other.spool.path(recording.input.spooled.file))
    const attempts = [() => upload(recording), () => other.run('uploadRecording', recording.input)]
    const [stored] = await Promise.all(attempts.map((attempt) => attempt().catch(attempt))) // as above
    await expectStored(recording, stored!)
    expect(await bench.bucket.openUploads()).toBe(0)
    await other.close()
  })

  test.each([
    ['before it reads the file', 'HEAD', undefined],
    ['between two parts', 'PUT', 'partNumber=1'],
  ])('and the other one removes the spool file %s, then both succeed', async (_when, method, more) => {
    const recording = await large()
    const { reached, release } = faulty.hold(method, ofCall(recording, more))
    const late = upload(recording)
    await reached
    await upload(recording)
    expect(existsSync(recording.path)).toBe(false)
    release()
    await expectStored(recording, await late)
    expect(bench.alarms.active()).toEqual([])
  })

  /** What another process does with the upload that this one has begun. */
  async function completeAsAnother({ input }: SpooledRecording): Promise<void> {
    const url = new URL(faulty.requests.findLast(({ url }) => url.includes(input.callSid) && url.includes('uploadId='))!.url, faulty.url)
    const place = { Bucket: bench.bucket.name, Key: decodeURIComponent(url.pathname).split('/').slice(2).join('/') }
    const UploadId = url.searchParams.get('uploadId')!
    const { Parts } = await bench.bucket.client.send(new ListPartsCommand({ ...place, UploadId }))
    const parts = Parts!.map(({ PartNumber, ETag }) => ({ PartNumber, ETag }))
    await bench.bucket.client.send(new CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts: parts } }))
  }
})

test('When the spool file of a confirmed upload cannot be removed, then the upload succeeds all the same', async () => {
  const recording = await spoolRecording(bench)
  const note = `${recording.path}.json`
  mkdirSync(note) // `rm` refuses a directory, also where the tests run as root
  await expectStored(recording, await upload(recording))
  expect(bench.alarms.active()).toEqual([])
  rmSync(note, { recursive: true })
})
