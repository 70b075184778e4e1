// The object check on whole pages: which rows it reads, how many missing objects it accepts, and which objects are too young.
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { nameRecording } from '../../calls/recording-facts.ts'
import { registry } from '../../platform/metrics.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { startFaultyS3 } from '../support/faulty-s3.ts'
import { newCallSid } from '../support/servers.ts'

const LINK = 'https://recordings.exotel.com/a/1.mp3'
const SHA256 = 'a'.repeat(64)

let bench: Workbench
beforeEach(async () => {
  bench = await openWorkbench()
})
afterEach(() => bench?.close())

const put = (Key: string) => bench.bucket.client.send(new PutObjectCommand({ Bucket: bench.bucket.name, Key, Body: '12345' }))
const keyOf = (callSid: string) => `recordings/2026/11/26/${callSid}-${SHA256.slice(0, 12)}.mp3`

/** Inserts stored rows that all name the same object. */
async function store(callSid: string, key: string, count: number, bucket = bench.bucket.name): Promise<void> {
  const row = { callSid, state: 'stored', bucket, objectKey: key, bytes: 5n, sha256: SHA256 }
  const call = { callSid, recordingState: 'stored', recordingUrl: `https://s3/${bench.bucket.name}/there` }
  await bench.database.call.upsert({ where: { callSid }, create: call, update: {} })
  await bench.database.recording.createMany({
    data: Array.from({ length: count }, (_, index) => ({ ...row, sourceUrl: `${LINK}?${key}${index}` })),
  })
}

test('When all rows are checked, then no row is skipped between pages', async () => {
  await put('there')
  await store('a', 'there', 450)
  let rows = 0
  let after: string | undefined
  do {
    const page = await bench.run('checkRows', { sampled: false, ...(after !== undefined && { after }) })
    rows += page.rows
    after = page.last
  } while (after !== undefined)
  expect(rows).toBe(450)
})

test.each([true, false])('When rows name another bucket, then they are not compared with this one (sampled: %s)', async (sampled) => {
  await put('there')
  await store('a', 'there', 3)
  await store('b', 'elsewhere', 2, 'bucket-before-the-move')
  expect(await bench.run('checkRows', { sampled })).toMatchObject({ rows: 3, missing: 0 })
  expect(await bench.database.recording.count({ where: { callSid: 'b', state: 'stored' } })).toBe(2)
})

test.each([
  [3, 3, true],
  [4, 39, false],
  [4, 40, true],
  [20, 200, false],
])('When %i objects of a page of %i rows are missing, then the result is trusted: %s', async (missing, rows, believed) => {
  await put('there')
  await store('a', 'gone', missing)
  await store('a', 'there', rows - missing)
  expect(await bench.run('checkRows', { sampled: false })).toMatchObject({ rows, missing, believed })
  expect(await bench.database.recording.count({ where: { errorCode: 'ObjectMissing' } })).toBe(believed ? missing : 0)
})

test('When very many objects of a page are missing, then a later page without missing ones does not clear the alarm', async () => {
  await put('there')
  await store('a', 'gone', 20)
  await store('a', 'there', 200)
  const { last } = await bench.run('checkRows', { sampled: false })
  expect(await bench.run('checkRows', { sampled: false, after: last! })).toMatchObject({ rows: 20, missing: 0, believed: true })
  expect(bench.alarms.active().map(({ name }) => name)).toEqual(['ObjectsMissing'])
})

test('When an object is young, then it is not changed, because its row may not be written yet', async () => {
  const [known, erased] = [newCallSid(), newCallSid()]
  await bench.database.call.create({ data: { callSid: known, recordingState: 'awaiting' } })
  await bench.database.call.create({ data: { callSid: erased, recordingState: 'erased' } })
  for (const callSid of [known, erased]) await put(keyOf(callSid))
  expect(await bench.run('checkObjects', {})).toMatchObject({ objects: 2, adopted: 0, deleted: 0, unknown: 0 })
  expect(await bench.database.call.findUniqueOrThrow({ where: { callSid: known } })).toMatchObject({ recordingState: 'awaiting' })
  expect(await bench.bucket.keys()).toHaveLength(2)
})

test('When a sample fills a page, then no further page of rows follows, so that the objects are checked next', async () => {
  await put('there')
  await store('a', 'there', 250)
  expect(await bench.run('checkRows', { sampled: true })).toEqual({ rows: 200, missing: 0, believed: true })
})

test('When nothing listens at the address of the store, then both parts of the check wait', async () => {
  const unreachable = await openWorkbench({ s3Endpoint: 'http://127.0.0.1:1' })
  try {
    for (const check of [() => unreachable.run('checkRows', { sampled: true }), () => unreachable.run('checkObjects', {})])
      await expect(check()).rejects.toMatchObject({ type: 'StorageUnavailable', category: 'BENIGN' })
  } finally {
    await unreachable.close()
  }
})

test('When a missing object cannot be downloaded again, then the metric counts its recording as given up', async () => {
  const lost = async () =>
    (await registry.getSingleMetric('caly_recordings_given_up_total')!.get()).values.map(({ labels, value }) => [labels.code, value])
  const callSid = newCallSid()
  await bench.database.call.create({ data: { callSid, recordingState: 'stored', recordingUrl: 'https://s3/x' } })
  const key = keyOf(callSid)
  const row = { callSid, state: 'stored', bucket: bench.bucket.name, objectKey: key, bytes: 5n, sha256: SHA256 }
  await bench.database.recording.create({ data: { ...row, sourceUrl: `object:${key}` } }) // adopted, so its link is unknown
  expect(await lost()).toEqual([])
  await bench.run('checkRows', { sampled: false })
  expect(await lost()).toEqual([['ObjectMissing', 1]])
})

describe('When audio of an erased call is in the bucket', () => {
  const BODY = '12345'
  const SHA256_OF_BODY = createHash('sha256').update(BODY).digest('hex')

  async function checking(work: (old: Workbench, faulty: Awaited<ReturnType<typeof startFaultyS3>>) => Promise<void>): Promise<void> {
    const faulty = await startFaultyS3()
    const old = await openWorkbench({ s3Endpoint: faulty.url, waitScale: 0 }) // no object is too young
    await work(old, faulty).finally(() => old.close().finally(() => faulty.close()))
  }
  const putInto = (old: Workbench, Key: string) =>
    old.bucket.client.send(new PutObjectCommand({ Bucket: old.bucket.name, Key, Body: BODY }))

  test('and cannot be deleted, then a later page of the check does not clear the alarm', () =>
    checking(async (old, faulty) => {
      const callSid = newCallSid()
      const key = keyOf(callSid)
      await old.database.call.create({ data: { callSid, recordingState: 'erased' } })
      await putInto(old, key)
      faulty.next('DELETE', { status: 403, code: 'AccessDenied' })
      await old.run('checkObjects', {})
      await old.run('checkObjects', { after: key })
      expect(old.alarms.active().map(({ name }) => name)).toEqual(['ErasedObjectsKept'])
    }))

  test('because the call was erased while its object was read, then the object is deleted instead of adopted', () =>
    checking(async (old, faulty) => {
      const callSid = newCallSid()
      const key = `recordings/2026/11/26/${callSid}-${SHA256_OF_BODY.slice(0, 12)}.mp3`
      await nameRecording(old.database, callSid, { sourceUrl: LINK })
      await putInto(old, key)
      const { reached, release } = faulty.hold('GET', new RegExp(callSid))
      const check = old.run('checkObjects', {})
      await reached
      await old.database.call.update({ where: { callSid }, data: { recordingState: 'erased' } })
      release()
      expect(await check).toMatchObject({ adopted: 0, deleted: 1 })
      expect(await old.bucket.keys()).toEqual([])
    }))
})
