// Objects under the key of a recording that the store does not return, because somebody else owns or encrypted them.
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { fixRecordingDate } from '../../calls/recording-facts.ts'
import { objectKey } from '../../recordings/object-key.ts'
import type { StoredObject, UploadInput } from '../../contracts/recording.ts'
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

const attempt = (nth: number, input: UploadInput): Promise<StoredObject> =>
  bench.environment({ attempt: nth }).run(bench.activities.uploadRecording, input)
const refusal = (type: string, message: string): unknown =>
  expect.objectContaining({ type, nonRetryable: false, message: expect.stringContaining(message) })
const alarms = (): string[] => bench.alarms.active().map(({ name }) => name)
const sent = (): unknown[] => faulty.requests.filter(({ method }) => method === 'PUT')

/** A spooled recording whose key already has an object with as many bytes. */
async function withOccupiedKey(): Promise<{ input: UploadInput; key: string; before: string }> {
  const { input } = await spoolRecording(bench)
  const key = objectKey(input, (await fixRecordingDate(bench.database, input.callSid))!)
  await bench.bucket.client.send(new PutObjectCommand({ Bucket: bench.bucket.name, Key: key, Body: 'x'.repeat(input.spooled.bytes) }))
  return { input, key, before: await bench.bucket.sha256Of(key) }
}

describe('When the store returns other objects, but repeatedly refuses to return the one under our key, then ours gets another key:', () => {
  test.each([
    ['encrypted with a key of somebody else', 'HEAD', { status: 400 }],
    ['owned by somebody else', 'HEAD', { status: 403 }],
    ['encrypted, but its metadata is returned', 'GET', { status: 400, code: 'InvalidRequest' }],
    ['archived', 'GET', { status: 403, code: 'InvalidObjectState' }],
  ])('%s', async (_whose, method, fault) => {
    const { input, key, before } = await withOccupiedKey()
    faulty.always(method, new RegExp(key), fault)
    for (let repeated = 0; repeated < 6; repeated += 1)
      // more often than the circuit breaker allows for faults of the store
      await expect(attempt(2, input)).rejects.toEqual(refusal('StorageUnavailable', `refuses to return ${key}`))
    expect(alarms()).toEqual([])
    expect(sent()).toEqual([])

    const ours = key.replace('.mp3', `-${input.spooled.sha256}.mp3`)
    expect(await attempt(3, input)).toMatchObject({ key: ours, remark: expect.stringContaining(key) })
    expect(await bench.bucket.sha256Of(ours)).toBe(input.spooled.sha256)
    expect(await bench.bucket.sha256Of(key)).toBe(before)
    expect(alarms()).toEqual(['ForeignObject'])
  })
})

describe('When the store refuses to return any object, then the upload waits and uses no other key:', () => {
  test.each([
    ['403', { status: 403 }, 'StorageMisconfigured'],
    ['400', { status: 400 }, 'StorageUnavailable'],
  ])('%s', async (_status, fault, type) => {
    const { input } = await withOccupiedKey()
    faulty.always('HEAD', /recordings/, fault)
    await expect(attempt(3, input)).rejects.toEqual(refusal(type, `HTTP ${fault.status}`))
    expect(sent()).toEqual([])
  })
})

test('When the store limits the rate of requests with status 400, then no other key is used', async () => {
  const { input, key } = await withOccupiedKey()
  faulty.always('GET', new RegExp(key), { status: 400, code: 'RequestRateLimitExceeded' })
  await expect(attempt(3, input)).rejects.toEqual(refusal('StorageUnavailable', 'RequestRateLimitExceeded'))
  expect(sent()).toEqual([])
})

test('When the objects under both keys are refused, then the upload waits with an alarm that names the key', async () => {
  const { input, key } = await withOccupiedKey()
  faulty.always('HEAD', new RegExp(input.callSid), { status: 403 })
  await expect(attempt(3, input)).rejects.toEqual(refusal('StorageUnavailable', 'refuses to return'))
  expect(bench.alarms.active()).toMatchObject([{ name: 'UploadRefused', reason: expect.stringContaining(key) }])
})
