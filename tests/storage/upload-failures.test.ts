// Uploads that fail because of the store or of our own disk.
import { copyFileSync, existsSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { RecordingStore } from '../../recordings/store.ts'
import type { UploadInput } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { servers } from '../support/servers.ts'
import { spoolRecording } from '../support/spooled.ts'

let faulty: FaultyS3
let bench: Workbench
beforeAll(async () => {
  faulty = await startFaultyS3()
  bench = await openWorkbench({ s3Endpoint: faulty.url })
})
afterAll(async () => {
  await bench?.close()
  await faulty?.close()
})
beforeEach(() => {
  faulty.reset()
  bench.restart()
})

const spool = () => spoolRecording(bench)
const upload = (input: UploadInput) => bench.run('uploadRecording', input)
const failure = (type: string, more: object = {}) => expect.objectContaining({ type, ...more })
const times = <T>(count: number, each: T): T[] => Array.from({ length: count }, () => each)
const waits = { nonRetryable: false, category: 'BENIGN' }

describe('When the store fails, then the task waits, and succeeds when the store works again:', () => {
  test.each([
    ['503 SlowDown', { status: 503, code: 'SlowDown' }, 'StorageUnavailable'],
    ['500', { status: 500, code: 'InternalError' }, 'StorageUnavailable'],
    ['400 RequestRateLimitExceeded', { status: 400, code: 'RequestRateLimitExceeded' }, 'StorageUnavailable'],
    ['a reset in mid-stream', { reset: true }, 'StorageUnavailable'],
    ['a refusal of one object', { status: 403, code: 'AccessDenied' }, 'StorageUnavailable'],
    ['wrong access keys', { status: 403, code: 'InvalidAccessKeyId' }, 'StorageMisconfigured'],
    ['no bucket', { status: 404, code: 'NoSuchBucket' }, 'StorageMisconfigured'],
    ['a wrong clock', { status: 403, code: 'RequestTimeTooSkewed' }, 'StorageMisconfigured'],
    ['acknowledged, but not stored', { status: 200 }, 'StorageUnavailable'],
  ] as const)('%s', async (_how, fault, type) => {
    const { input, path } = await spool()
    faulty.next('PUT', fault)
    const error: unknown = await upload(input).catch((each: unknown) => each)
    expect(error).toEqual(failure(type, waits))
    expect((error as Error).message).not.toContain(servers.s3.accessKeyId) // S3's own message contains it
    expect(existsSync(path)).toBe(true)
    expect(bench.alarms.active().map(({ name }) => name)).toEqual(type === 'StorageMisconfigured' ? ['StorageMisconfigured'] : [])
    const { key } = await upload(input)
    expect(await bench.bucket.sha256Of(key)).toBe(input.spooled.sha256)
    expect(bench.alarms.active()).toEqual([])
  })

  test.each([
    ['reading', 'HEAD', { HEAD: 3, POST: 0 }],
    ['writing', 'PUT', { HEAD: 0, POST: 1 }],
  ])('%s is forbidden for all objects', async (_what, method, refused) => {
    const { input } = await spool()
    const denied = { status: 403, code: 'AccessDenied' }
    faulty.next(method, denied)
    for (const [other, count] of Object.entries(refused)) if (count > 0) faulty.next(other, ...times(count, denied))
    await expect(upload(input)).rejects.toEqual(failure('StorageMisconfigured', waits))
    expect(bench.alarms.active().map(({ name }) => name)).toEqual(['StorageMisconfigured'])
    await upload(input)
    expect(bench.alarms.active()).toEqual([])
    expect(await bench.bucket.openUploads()).toBe(0)
  })

  test.each([
    ['its PUT request', 'PUT', { status: 403, code: 'AccessDenied' }],
    ['its PUT request with a digest error', 'PUT', { status: 400, code: 'BadDigest' }],
  ])('one object is refused on each attempt: %s', async (_what, method, refused) => {
    const { input } = await spool()
    const attempt = async (nth: number): Promise<string[]> => {
      faulty.next(method, refused)
      await expect(bench.environment({ attempt: nth }).run(bench.activities.uploadRecording, input)).rejects.toEqual(
        failure('StorageUnavailable', waits),
      )
      return bench.alarms.active().map(({ name }) => name)
    }
    expect(await attempt(2)).toEqual([])
    expect(await attempt(3)).toEqual(['UploadRefused'])
    expect(bench.alarms.active()[0]!.reason).toContain(input.callSid)
    await upload((await spool()).input)
    expect(bench.alarms.active()).toHaveLength(1)
    await upload(input)
    expect(bench.alarms.active()).toEqual([])
  })

  test('a store without support for If-None-Match gets requests without it', async () => {
    faulty.next('PUT', { status: 501, code: 'NotImplemented' })
    const other = await openWorkbench({ s3Endpoint: faulty.url })
    try {
      const { input, path } = await spool()
      const file = other.spool.path(input.spooled.file)
      copyFileSync(path, file)
      const { key } = await other.run('uploadRecording', { ...input, spooled: { ...input.spooled, queue: other.spool.queue } })
      expect(await other.bucket.sha256Of(key)).toBe(input.spooled.sha256)
    } finally {
      await other.close()
    }
  })
})

test('When the file is deleted during the upload, then the request fails with the error of the disk, and the process continues', async () => {
  const store = new RecordingStore({ ...servers.s3, endpoint: faulty.url, bucket: bench.bucket.name, connections: 1 })
  const object = {
    key: 'recordings/x',
    path: '/nowhere/file',
    bytes: 10,
    sha256: 'a'.repeat(64),
    etag: 'b'.repeat(32),
    contentType: 'audio/mpeg',
    metadata: {},
  }
  const control = { signal: AbortSignal.timeout(10_000), onProgress: () => {}, isCancelled: () => false }
  await expect(store.put(object, control, { key: object.key, state: 'absent' })).rejects.toMatchObject({ code: 'ENOENT' })
  store.close()
})
