// Objects in the bucket: their keys, objects of others, and how an upload is confirmed.
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { fixRecordingDate } from '../../calls/recording-facts.ts'
import { readObjectKey } from '../../recordings/object-key.ts'
import type { UploadInput } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
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
const waits = { nonRetryable: false, category: 'BENIGN' }

test('When a file is uploaded, then the bucket has its bytes under a key with the date, and the spool file is deleted', async () => {
  const { input, path } = await spool()
  faulty.requests.length = 0
  const stored = await upload(input)
  const day = await dayOf(input.callSid)
  expect(stored).toEqual({
    bucket: bench.bucket.name,
    key: `recordings/${day}/${input.callSid}-${input.spooled.sha256.slice(0, 12)}.mp3`,
    url: `${faulty.url}/${bench.bucket.name}/${stored.key}`,
  })
  expect(await bench.bucket.sha256Of(stored.key)).toBe(input.spooled.sha256)
  expect(existsSync(path)).toBe(false)
  const put = faulty.requests.find(({ method }) => method === 'PUT')!
  expect(put.headers).toMatchObject({
    'x-amz-content-sha256': input.spooled.sha256,
    'if-none-match': '*',
    'content-type': 'audio/mpeg',
    'x-amz-meta-sha256': input.spooled.sha256,
  })
  expect(Object.keys(put.headers).filter((name) => /checksum|trailer|content-encoding/.test(name))).toEqual([])
})

/** The date in the keys of a call's objects, `yyyy/mm/dd`. A test may run past midnight. */
async function dayOf(callSid: CallSid): Promise<string> {
  return (await fixRecordingDate(bench.database, callSid))!.replaceAll('-', '/')
}
const requestsFor = ({ callSid }: UploadInput) => faulty.requests.filter(({ url }) => url.includes(callSid)).map(({ method }) => method)
const keyOf = async ({ callSid, spooled }: UploadInput) =>
  `recordings/${await dayOf(callSid)}/${callSid}-${spooled.sha256.slice(0, 12)}.mp3`

test('When a recording is already uploaded, then one HEAD request is enough, even without the file', async () => {
  const { input, path } = await spool()
  const first = await upload(input)
  expect(existsSync(path)).toBe(false)
  faulty.requests.length = 0
  expect(await upload(input)).toEqual(first)
  expect(faulty.requests.map(({ method }) => method)).toEqual(['HEAD'])
})

test('When two attempts upload the same file at the same time, then there is one object, and both succeed', async () => {
  const { input } = await spool()
  const [a, b] = await Promise.all([upload(input), upload(input)])
  expect(a).toEqual(b)
  const keys = (await bench.bucket.keys(`recordings/`)).filter((key) => key.includes(input.callSid))
  expect(keys).toEqual([a!.key])
  expect(await bench.bucket.sha256Of(a!.key)).toBe(input.spooled.sha256)
})

describe('When the key already has an object with other bytes,', () => {
  const putThere = (Key: string, Metadata: Record<string, string>, Body = 'half') =>
    bench.bucket.client.send(new PutObjectCommand({ Bucket: bench.bucket.name, Key, Body, Metadata }))

  test('then an object with the metadata of this recording is replaced, after it was read', async () => {
    const { input } = await spool()
    const { callSid, spooled } = input
    const key = await keyOf(input)
    await putThere(key, { callsid: callSid, sha256: spooled.sha256 })
    faulty.requests.length = 0
    expect(await upload(input)).toMatchObject({ key })
    expect(requestsFor(input)).toEqual(['HEAD', 'PUT'])
    expect(await bench.bucket.sha256Of(key)).toBe(spooled.sha256)
    expect(bench.alarms.active()).toEqual([])
  })

  test.each([
    ['knows', { ChecksumAlgorithm: 'SHA256' }, ['HEAD', 'PUT']],
    ['does not know', {}, ['HEAD', 'GET', 'PUT']],
  ] as const)('then an object of the same size whose SHA-256 the server %s does not count as ours', async (_what, checksum, requests) => {
    const { input } = await spool()
    const { callSid, spooled } = input
    const key = await keyOf(input)
    const other = {
      Body: randomBytes(spooled.bytes),
      ...checksum,
      Metadata: { callsid: callSid, sha256: spooled.sha256 },
    }
    await bench.bucket.client.send(new PutObjectCommand({ Bucket: bench.bucket.name, Key: key, ...other }))
    faulty.requests.length = 0
    expect(await upload(input)).toMatchObject({ key })
    expect(requestsFor(input)).toEqual(requests)
    expect(await bench.bucket.sha256Of(key)).toBe(spooled.sha256)
  })

  test.each([
    ['no metadata', () => ({})],
    ['the metadata of another call', ({ spooled }: UploadInput) => ({ callsid: 'other', sha256: spooled.sha256 })],
    ['the metadata of another recording of the call', ({ callSid }: UploadInput) => ({ callsid: callSid, sha256: 'b'.repeat(64) })],
  ])('then an object with %s stays, and ours gets another key, a remark and an alarm', async (_whose, metadataOf) => {
    const { input } = await spool()
    const key = await keyOf(input)
    await putThere(key, metadataOf(input))
    const before = await bench.bucket.sha256Of(key)
    const ours = key.replace('.mp3', `-${input.spooled.sha256}.mp3`)
    const stored = await upload(input)
    expect(stored).toMatchObject({ key: ours, url: expect.stringContaining(ours), remark: expect.stringContaining(key) })
    expect(await bench.bucket.sha256Of(ours)).toBe(input.spooled.sha256)
    expect(await bench.bucket.sha256Of(key)).toBe(before)
    expect(bench.alarms.active()).toMatchObject([{ name: 'ForeignObject', reason: expect.stringContaining(key) }])
    expect(readObjectKey(ours)).toEqual(readObjectKey(key))

    expect(await upload(input)).toEqual(stored) // the second call has no file
  })

  test('then one that another program puts there during the upload also stays', async () => {
    const { input } = await spool()
    const key = await keyOf(input)
    const { reached, release } = faulty.hold('PUT', new RegExp(input.callSid))
    const first = upload(input).catch((error: unknown) => error)
    await reached
    await putThere(key, {})
    const before = await bench.bucket.sha256Of(key)
    release()
    expect(await first).toEqual(failure('StorageUnavailable', waits))
    expect((await upload(input)).key).not.toBe(key)
    expect(await bench.bucket.sha256Of(key)).toBe(before)
  })

  test('then one that replaces our damaged object during the upload also stays', async () => {
    const { input } = await spool()
    const key = await keyOf(input)
    await putThere(key, { callsid: input.callSid, sha256: input.spooled.sha256 })
    const { reached, release } = faulty.hold('PUT', new RegExp(input.callSid))
    const first = upload(input).catch((error: unknown) => error)
    await reached
    await putThere(key, { callsid: 'another' }, 'other bytes of somebody else')
    const before = await bench.bucket.sha256Of(key)
    release()
    expect(await first).toEqual(failure('StorageUnavailable', waits))
    expect((await upload(input)).key).not.toBe(key)
    expect(await bench.bucket.sha256Of(key)).toBe(before)
  })
})

describe('When the store returns an object only some seconds after it has accepted it,', () => {
  let patient: Workbench
  beforeAll(async () => {
    patient = await openWorkbench({ s3Endpoint: faulty.url, shownAfterMs: undefined })
  })
  afterAll(() => patient?.close())

  test('then its bytes are sent once', async () => {
    faulty.hideNewMs = 2500
    const { input } = await spoolRecording(patient)
    faulty.requests.length = 0
    const { key } = await patient.run('uploadRecording', input)
    expect(await patient.bucket.sha256Of(key)).toBe(input.spooled.sha256)
    expect(faulty.requests.filter(({ method, url }) => method === 'PUT' && url.includes(input.callSid))).toHaveLength(1)
  })

  test('then an object that exists but is not returned yet is not overwritten, and the reason contains this', async () => {
    const { input } = await spool()
    faulty.requests.length = 0
    faulty.next('PUT', { status: 412, code: 'PreconditionFailed' })
    await expect(upload(input)).rejects.toEqual(
      failure('StorageUnavailable', { ...waits, message: expect.stringContaining('a HEAD request does not find it') }),
    )
    expect(faulty.requests.filter(({ method }) => method === 'PUT')).toHaveLength(1)
  })
})

test('When the store returns no known checksum, then the object is read back', async () => {
  const { input } = await spool()
  faulty.hideEtags = true
  const { key } = await upload(input)
  expect(await bench.bucket.sha256Of(key)).toBe(input.spooled.sha256)
  expect(faulty.requests.some(({ method, url }) => method === 'GET' && url.includes(input.callSid))).toBe(true)
})
