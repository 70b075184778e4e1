// The object check on whole pages: which rows it reads, how many missing objects it accepts, and which objects are too young.
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { openWorkbench, type Workbench } from '../support/activities.ts'
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
