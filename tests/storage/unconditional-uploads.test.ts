// Stores that do not implement conditional requests, or do not return what our comparisons and conditions need.
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { fixRecordingDate } from '../../calls/recording-facts.ts'
import { objectKey } from '../../recordings/object-key.ts'
import type { StoredObject, UploadInput } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { wav } from '../support/audio.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { spoolRecording } from '../support/spooled.ts'

const MB = 1024 ** 2

let faulty: FaultyS3
let bench: Workbench
beforeAll(async () => {
  faulty = await startFaultyS3()
  bench = await openWorkbench({ s3Endpoint: faulty.url, uploadSizes: { singlePutMaxBytes: MB, partBytes: 5 * MB } })
})
afterAll(async () => {
  await bench?.close()
  await faulty?.close()
})
beforeEach(() => {
  faulty.reset()
  bench.restart()
})

const upload = (input: UploadInput): Promise<StoredObject> => bench.run('uploadRecording', input)
const keyOf = async (input: UploadInput): Promise<string> => objectKey(input, (await fixRecordingDate(bench.database, input.callSid))!)
const putThere = (Key: string, Metadata: Record<string, string>, Body: Buffer | string = 'other bytes'): Promise<unknown> =>
  bench.bucket.client.send(new PutObjectCommand({ Bucket: bench.bucket.name, Key, Body, Metadata }))
const ours = ({ callSid, spooled }: UploadInput): Record<string, string> => ({ callsid: callSid, sha256: spooled.sha256 })
const methodsOf = (input: UploadInput): string[] =>
  faulty.requests.filter(({ url }) => url.includes(input.callSid)).map(({ method }) => method)

describe('When the store has no conditional requests,', () => {
  beforeEach(() => {
    faulty.withoutConditions = true
  })

  test('then the recording is stored, and the key is checked again before each request that stores', async () => {
    for (const expected of [
      ['HEAD', 'PUT', 'HEAD', 'PUT'],
      ['HEAD', 'HEAD', 'PUT'],
    ]) {
      const { input } = await spoolRecording(bench)
      faulty.requests.length = 0
      const { key } = await upload(input)
      expect(methodsOf(input)).toEqual(expected)
      expect(await bench.bucket.sha256Of(key)).toBe(input.spooled.sha256)
    }
  })

  test('then an object that another program stores during the upload stays', async () => {
    const { input } = await spoolRecording(bench)
    const key = await keyOf(input)
    const { reached, release } = faulty.hold('PUT', new RegExp(input.callSid))
    const first = upload(input).catch((error: unknown) => error)
    await reached
    await putThere(key, {})
    const before = await bench.bucket.sha256Of(key)
    release()
    expect(await first).toMatchObject({ type: 'StorageUnavailable' })
    expect(await bench.bucket.sha256Of(key)).toBe(before)
    expect((await upload(input)).key).not.toBe(key)
    expect(await bench.bucket.sha256Of(key)).toBe(before)
  })

  test('then an object that another program stores during a multipart upload stays', async () => {
    const header = wav({ seconds: 0, dataSize: 6 * MB - wav({ seconds: 0 }).length })
    const { input } = await spoolRecording(bench, { bytes: Buffer.concat([header, randomBytes(6 * MB - header.length)]) })
    const key = await keyOf(input)
    const { reached, release } = faulty.hold('POST', /uploadId/)
    const first = upload(input).catch((error: unknown) => error)
    await reached
    await putThere(key, {})
    const before = await bench.bucket.sha256Of(key)
    release()
    expect(await first).toMatchObject({ type: 'StorageUnavailable' })
    expect(await bench.bucket.sha256Of(key)).toBe(before)
    expect(await bench.bucket.openUploads()).toBe(0)
  })
})

test('When the store returns no ETag of our damaged object, then the object is checked again before it is replaced', async () => {
  faulty.hideEtags = true
  const { input } = await spoolRecording(bench)
  const key = await keyOf(input)
  await putThere(key, ours(input))
  faulty.requests.length = 0
  await upload(input)
  expect(methodsOf(input).slice(0, 3)).toEqual(['HEAD', 'HEAD', 'PUT'])
  expect(await bench.bucket.sha256Of(key)).toBe(input.spooled.sha256)
})

test('When the store returns no ETag, and another program replaces our damaged object, then its object stays', async () => {
  faulty.hideEtags = true
  const { input } = await spoolRecording(bench)
  const key = await keyOf(input)
  await putThere(key, ours(input))
  faulty.hold('HEAD', new RegExp(input.callSid)).release()
  const { reached, release } = faulty.hold('HEAD', new RegExp(input.callSid))
  faulty.requests.length = 0
  const first = upload(input).catch((error: unknown) => error)
  await reached
  await putThere(key, { callsid: 'another' }, 'other bytes of somebody else')
  const before = await bench.bucket.sha256Of(key)
  release()
  expect(await first).toMatchObject({ type: 'StorageUnavailable' })
  expect(methodsOf(input)).not.toContain('PUT')
  expect(await bench.bucket.sha256Of(key)).toBe(before)
})

describe('When the response to HEAD does not show whether the object has our bytes, then the object is read:', () => {
  test.each<[string, Record<string, string | undefined>]>([
    ['a composite checksum', { 'x-amz-checksum-sha256': `${Buffer.alloc(32).toString('base64')}-3`, 'x-amz-checksum-type': 'COMPOSITE' }],
    ['a composite checksum without its type', { 'x-amz-checksum-sha256': `${Buffer.alloc(32).toString('base64')}-3` }],
    [
      'a composite checksum without its number',
      { 'x-amz-checksum-sha256': Buffer.alloc(32).toString('base64'), 'x-amz-checksum-type': 'COMPOSITE' },
    ],
    ['no length', { 'content-length': undefined }],
  ])('%s', async (_what, headers) => {
    const bytes = wav({ seconds: 1 })
    const { input } = await spoolRecording(bench, { bytes })
    const key = await keyOf(input)
    await putThere(key, {}, bytes)
    faulty.headHeaders = { etag: '"0123456789abcdef0123456789abcdef-3"', ...headers }
    faulty.requests.length = 0
    expect((await upload(input)).key).toBe(key)
    expect(methodsOf(input)).toEqual(['HEAD', 'GET'])
    expect(bench.alarms.active()).toEqual([])
  })
})

describe('When a HEAD request does not find the object, then the message says what the store answered:', () => {
  test.each([
    [412, 'PreconditionFailed', /The store refused \S+ with PreconditionFailed \(HTTP 412\), but a HEAD request does not find it/],
    [409, 'ConditionalRequestConflict', /The store refused \S+ with ConditionalRequestConflict \(HTTP 409\), but a HEAD request/],
    [200, undefined, /The store accepted \S+, but a HEAD request does not find it/],
  ])('%d', async (status, code, message) => {
    const { input } = await spoolRecording(bench)
    faulty.next('PUT', { status, ...(code && { code }) })
    await expect(upload(input)).rejects.toMatchObject({ type: 'StorageUnavailable', message: expect.stringMatching(message) })
  })
})
