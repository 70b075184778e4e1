// Once the store is seen to refuse overwrites, an upload does not look first whether the key has an object.
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { fixRecordingDate } from '../../calls/recording-facts.ts'
import type { UploadInput } from '../../contracts/recording.ts'
import { objectKey } from '../../recordings/object-key.ts'
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

const detect = () => bench.store.detectConditions(AbortSignal.timeout(10_000))
const upload = (input: UploadInput) => bench.run('uploadRecording', input)
const requestsFor = ({ callSid }: UploadInput) => faulty.requests.filter(({ url }) => url.includes(callSid)).map(({ method }) => method)

test('When the store refuses overwrites, then an upload is one request, and a repeated one finds the object without the file', async () => {
  await detect()
  const { input } = await spoolRecording(bench)
  const stored = await upload(input)
  expect(requestsFor(input)).toEqual(['PUT'])
  expect(await bench.bucket.sha256Of(stored.key)).toBe(input.spooled.sha256)
  expect(await upload(input)).toEqual(stored)
  expect(requestsFor(input)).toEqual(['PUT', 'HEAD'])
})

test('When the conditions of the store were detected, then the bucket has no object of the test', async () => {
  await detect()
  expect((await bench.bucket.keys()).filter((key) => key.includes('probe'))).toEqual([])
})

test('When the store does not know conditions, then an upload looks first', async () => {
  faulty.withoutConditions = true
  await detect()
  const { input } = await spoolRecording(bench)
  await upload(input)
  expect(requestsFor(input)[0]).toBe('HEAD')
})

test('When the store does not respond to the test, then it counts as one that does not refuse overwrites', async () => {
  faulty.always('PUT', /probe/, { status: 503, code: 'SlowDown' })
  await expect(detect()).rejects.toThrow()
  expect(bench.store.refusesOverwrites).toBe(false)
})

test('When the key has a foreign object, then it stays, and ours gets another key', async () => {
  await detect()
  const { input } = await spoolRecording(bench)
  const key = objectKey(input, (await fixRecordingDate(bench.database, input.callSid))!)
  await bench.bucket.client.send(
    new PutObjectCommand({ Bucket: bench.bucket.name, Key: key, Body: 'other bytes', Metadata: { callsid: 'x' } }),
  )
  const before = await bench.bucket.sha256Of(key)
  const stored = await upload(input)
  expect(stored.key).not.toBe(key)
  expect(await bench.bucket.sha256Of(key)).toBe(before)
  expect(await bench.bucket.sha256Of(stored.key)).toBe(input.spooled.sha256)
})

test('When the store confirms an upload and stores nothing, then the file is sent again', async () => {
  await detect()
  const { input } = await spoolRecording(bench)
  faulty.next('PUT', { status: 200 })
  const { key } = await upload(input)
  expect(requestsFor(input).filter((method) => method === 'PUT')).toHaveLength(2)
  expect(await bench.bucket.sha256Of(key)).toBe(input.spooled.sha256)
})
