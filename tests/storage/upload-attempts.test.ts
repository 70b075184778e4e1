// Several attempts to upload one recording: timed out, cancelled, and concurrent in two processes.
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { ActivityCancellationDetails } from '@temporalio/common'
import { randomBytes } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { fixRecordingDate } from '../../calls/recording-facts.ts'
import { objectKey } from '../../recordings/object-key.ts'
import type { StoredObject } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { wav } from '../support/audio.ts'
import { eventually } from '../support/eventually.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { spoolRecording, type SpooledRecording } from '../support/spooled.ts'

const MB = 1024 ** 2
/** S3 accepts no smaller parts. */
const SIZES = { singlePutMaxBytes: MB, partBytes: 5 * MB }

let faulty: FaultyS3
let bench: Workbench
beforeAll(async () => {
  faulty = await startFaultyS3()
  bench = await openWorkbench({ s3Endpoint: faulty.url, uploadSizes: SIZES })
})
afterAll(async () => {
  await bench?.close()
  await faulty?.close()
})
beforeEach(() => {
  faulty.reset()
  bench.restart()
})

/** A WAV of this size, by default of two parts. */
function large(bytes = 6 * MB): Promise<SpooledRecording> {
  const header = wav({ seconds: 0, dataSize: bytes - wav({ seconds: 0 }).length })
  return spoolRecording(bench, { bytes: Buffer.concat([header, randomBytes(bytes - header.length)]) })
}
const upload = ({ input }: SpooledRecording): Promise<StoredObject> => bench.run('uploadRecording', input)
const ofCall = ({ input }: SpooledRecording, more = ''): RegExp => new RegExp(`${input.callSid}.*${more}`)
const expectStored = async (recording: SpooledRecording, { key }: StoredObject): Promise<void> => {
  expect(await bench.bucket.sha256Of(key)).toBe(recording.input.spooled.sha256)
  expect((await bench.bucket.keys()).filter((each) => each.includes(recording.input.callSid))).toEqual([key])
}

describe('When an attempt stops in the middle of a multipart upload', () => {
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
  ])('because of %s, then the next attempt continues the upload', async (reason, details) => {
    const recording = await large()
    await stopInTheMiddle(recording, reason, details)
    expect(await bench.bucket.openUploads()).toBe(1)
    faulty.requests.length = 0
    await expectStored(recording, await upload(recording))
    expect(faulty.requests.filter(({ url }) => url.includes('partNumber=1'))).toEqual([])
    expect(await bench.bucket.openUploads()).toBe(0)
  })

  test('because its workflow cancelled it, then the upload is aborted', async () => {
    const recording = await large()
    await stopInTheMiddle(recording, 'CANCELLED', { cancelRequested: true })
    expect(faulty.requests.some(({ method, url }) => method === 'DELETE' && ofCall(recording, 'uploadId=').test(url))).toBe(true)
    await eventually('the upload to be ended', async () => (await bench.bucket.openUploads()) === 0)
  })
})

test.each([
  ['that fills its last part', 10 * MB, 2],
  ['with a short last part', 10 * MB + 1, 3],
])('When a file %s is uploaded in parts, then its ETag confirms it, and the object is not read back', async (_which, bytes, parts) => {
  const recording = await large(bytes)
  expect(recording.input.verdict.etag).toMatch(new RegExp(`-${parts}$`))
  faulty.requests.length = 0
  await expectStored(recording, await upload(recording))
  const ofObject = faulty.requests.filter(({ url }) => new URL(url, faulty.url).pathname.includes(recording.input.callSid))
  expect(ofObject.filter(({ url }) => url.includes('partNumber=')).length).toBe(parts)
  expect(ofObject.filter(({ method, url }) => method === 'GET' && !url.includes('uploadId='))).toEqual([])
})

test('When a file has the maximum size of a single request, then it is sent in one request, and its ETag confirms it', async () => {
  const recording = await large(SIZES.singlePutMaxBytes)
  faulty.requests.length = 0
  await expectStored(recording, await upload(recording))
  const ofObject = faulty.requests.filter(({ url }) => new URL(url, faulty.url).pathname.includes(recording.input.callSid))
  expect(ofObject.map(({ method }) => method)).toEqual(['HEAD', 'PUT'])
})

test('When an open upload has a part with other bytes of the same size, then that part is sent again, and only that', async () => {
  const recording = await large()
  const { path, input } = recording
  const file = readFileSync(path)
  const Key = objectKey(input, (await fixRecordingDate(bench.database, input.callSid))!)
  const place = { Bucket: bench.bucket.name, Key }
  const { UploadId } = await bench.bucket.client.send(new CreateMultipartUploadCommand(place))
  for (const [PartNumber, Body] of [
    [1, randomBytes(5 * MB)],
    [2, file.subarray(5 * MB)],
  ] as const)
    await bench.bucket.client.send(new UploadPartCommand({ ...place, UploadId, PartNumber, Body }))
  faulty.requests.length = 0
  await expectStored(recording, await upload(recording))
  expect(faulty.requests.flatMap(({ url }) => /partNumber=\d+/.exec(url)?.[0] ?? [])).toEqual(['partNumber=1'])
})

test('When the store does not answer before the deadline of the upload, then the task waits, and a later attempt succeeds', async () => {
  const recording = await large()
  const deadline = new AbortController()
  const timeout = jest.spyOn(AbortSignal, 'timeout').mockImplementation(() => deadline.signal)
  const { reached, release } = faulty.hold('PUT', ofCall(recording, 'partNumber=2'))
  const slow = upload(recording).catch((error: unknown) => error)
  await reached
  expect(timeout.mock.calls).toEqual([[66_000]]) // a minute and a second per MB
  timeout.mockRestore()
  deadline.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'))
  release() // an attempt without a deadline would succeed now
  expect(await slow).toEqual(expect.objectContaining({ type: 'StorageUnavailable', category: 'BENIGN' }))
  await expectStored(recording, await upload(recording))
})

test('When another program puts an object under the key during a multipart upload, then that object stays, and the recording gets another key', async () => {
  const recording = await large()
  const { reached, release } = faulty.hold('POST', ofCall(recording, 'uploadId='))
  const first = upload(recording).catch((error: unknown) => error)
  await reached
  const Key = objectKey(recording.input, (await fixRecordingDate(bench.database, recording.input.callSid))!)
  await bench.bucket.client.send(new PutObjectCommand({ Bucket: bench.bucket.name, Key, Body: 'of somebody else' }))
  const foreign = await bench.bucket.sha256Of(Key)
  release()
  expect(await first).toMatchObject({ type: 'StorageUnavailable' })
  expect(await bench.bucket.openUploads()).toBe(0)
  const { key } = await upload(recording)
  expect(await bench.bucket.sha256Of(key)).toBe(recording.input.spooled.sha256)
  expect(key).not.toBe(Key)
  expect(await bench.bucket.sha256Of(Key)).toBe(foreign)
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

  test('and the other one is cancelled and aborts the shared upload, then this one waits, and starts a new upload', async () => {
    const recording = await large()
    const { reached, release } = faulty.hold('PUT', ofCall(recording, 'partNumber=2'))
    const successor = upload(recording).catch(() => upload(recording)) // the server may reset the connection instead of responding
    await reached
    const environment = bench.environment()
    const held = faulty.hold('PUT', ofCall(recording, 'partNumber=2')) // the request of the other attempt
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
    ['in parts', () => large()],
    ['in one request', () => spoolRecording(bench)],
  ])('in two processes, %s, then both succeed', async (_how, spool) => {
    const recording = await spool()
    const other = await openWorkbench({ s3Endpoint: faulty.url, uploadSizes: SIZES, bucket: bench.bucket.name })
    const { file } = recording.input.spooled
    copyFileSync(recording.path, other.spool.path(file))
    await other.spool.writeNote(file, await bench.spool.note(file))
    const attempts = [() => upload(recording), () => other.run('uploadRecording', recording.input)]
    const [stored] = await Promise.all(attempts.map((attempt) => attempt().catch(attempt))) // the server may reset the connection
    await expectStored(recording, stored!)
    expect(await bench.bucket.openUploads()).toBe(0)
    await other.close()
  })

  test.each([
    ['before it reads the file', 'HEAD', undefined],
    ['between two parts', 'PUT', 'partNumber=1'],
  ])('and the other one deletes the spool file %s, then both succeed', async (_when, method, more) => {
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

  /** Completes the multipart upload that this process has started, like another process. */
  async function completeAsAnother({ input }: SpooledRecording): Promise<void> {
    const url = new URL(faulty.requests.findLast(({ url }) => url.includes(input.callSid) && url.includes('uploadId='))!.url, faulty.url)
    const place = { Bucket: bench.bucket.name, Key: decodeURIComponent(url.pathname).split('/').slice(2).join('/') }
    const UploadId = url.searchParams.get('uploadId')!
    const { Parts } = await bench.bucket.client.send(new ListPartsCommand({ ...place, UploadId }))
    const parts = Parts!.map(({ PartNumber, ETag }) => ({ PartNumber, ETag }))
    await bench.bucket.client.send(new CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts: parts } }))
  }
})

test('When the spool file of a confirmed upload cannot be deleted, then the upload still succeeds', async () => {
  const recording = await spoolRecording(bench)
  const note = `${recording.path}.json`
  rmSync(note)
  mkdirSync(note) // `rm` refuses a directory, even if the tests run as root
  await expectStored(recording, await upload(recording))
  expect(bench.alarms.active()).toEqual([])
  rmSync(note, { recursive: true })
})
