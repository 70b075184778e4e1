import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import { nameRecording } from '../../calls/recording-facts.ts'
import { openWorkbench, RECOVERY, type Workbench } from '../support/activities.ts'
import { eventually } from '../support/eventually.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { newCallSid } from '../support/servers.ts'

const BYTES = Buffer.from('the bytes of a recording')
const SHA256 = createHash('sha256').update(BYTES).digest('hex')
const LINK = 'https://recordings.exotel.com/a/1.mp3'

let faulty: FaultyS3
let bench: Workbench
beforeAll(async () => {
  faulty = await startFaultyS3()
  bench = await openWorkbench({ s3Endpoint: faulty.url, waitScale: 0 }) // no object is too young
})
afterAll(async () => {
  await bench?.close()
  await faulty?.close()
})

const keyOf = (callSid: string, begins = SHA256.slice(0, 12)) => `recordings/2026/11/26/${callSid}-${begins}.mp3`
const put = (Key: string, Body = BYTES) =>
  bench.bucket.client.send(new PutObjectCommand({ Bucket: bench.bucket.name, Key, Body, ContentType: 'audio/mpeg' }))
const waitsFor = (type: string) => expect.objectContaining({ type, category: 'BENIGN' })
const callOf = (callSid: string) => bench.database.call.findUniqueOrThrow({ where: { callSid }, include: { recordings: true } })

/** Inserts a stored row, with or without its object. */
async function stored({ object = true, callSid = newCallSid(), link = LINK, key = keyOf(callSid) } = {}): Promise<CallSid> {
  if (object) await put(key)
  const audio = { contentType: 'audio/mpeg', extension: 'mp3' }
  const where = { bucket: bench.bucket.name, key, url: `${faulty.url}/${bench.bucket.name}/${key}` }
  const outcome = { state: 'stored' as const, ...where, bytes: BYTES.length, sha256: SHA256, audio }
  await concludeRecording(bench.database, { callSid, sourceUrl: link, outcome }, { attempt: `stored ${callSid} ${link}`, plan: RECOVERY })
  return callSid
}

test('When a stored object is missing or has another size, then its row contains this, and recovery downloads the recording again', async () => {
  const [whole, gone, other] = [await stored(), await stored({ object: false }), await stored()]
  await put(keyOf(other), Buffer.from('shorter'))
  expect(await bench.run('checkRows', { sampled: false })).toMatchObject({ missing: 2, believed: true })
  expect(await callOf(whole)).toMatchObject({ recordingState: 'stored', recordingErrorCode: null })
  for (const callSid of [gone, other]) {
    const call = await callOf(callSid)
    expect(call).toMatchObject({ recordingState: 'failed', recordingErrorCode: 'ObjectMissing', recordingUrl: null })
    expect(call.recordings).toMatchObject([{ state: 'failed', errorCode: 'ObjectMissing' }])
    expect(call.recordings[0]!.nextTryAt!.getTime()).toBeLessThanOrEqual(Date.now())
  }
  expect(await bench.run('checkRows', { sampled: false })).toMatchObject({ missing: 0 })
})

test('When one of two objects is missing, then the call has the URL of the other one', async () => {
  const callSid = await stored({ object: false })
  const second = `recordings/2026/11/26/${callSid}-aaaaaaaaaaaa.mp3`
  await stored({ callSid, link: `${LINK}2`, key: second })
  await bench.run('checkRows', { sampled: false })
  expect(await callOf(callSid)).toMatchObject({
    recordingState: 'stored',
    recordingErrorCode: 'ObjectMissing',
    recordingUrl: `${faulty.url}/${bench.bucket.name}/${second}`,
  })
})

test('When very many objects are missing at once, then no row is changed, and an alarm is raised', async () => {
  const callSids = []
  for (let i = 0; i < 20; i += 1) callSids.push(await stored({ object: false }))
  expect(await bench.run('checkRows', { sampled: false })).toMatchObject({ missing: 20, believed: false })
  expect(bench.alarms.active().map(({ name }) => name)).toEqual(['ObjectsMissing'])
  for (const callSid of callSids) expect(await callOf(callSid)).toMatchObject({ recordingState: 'stored' })
  for (const callSid of callSids) await put(keyOf(callSid))
  await bench.run('checkRows', { sampled: false })
  expect(bench.alarms.active()).toEqual([])
})

test('When the store is unavailable, then no object counts as missing', async () => {
  const callSid = await stored()
  faulty.next('HEAD', { status: 503, code: 'SlowDown' })
  await expect(bench.run('checkRows', { sampled: true })).rejects.toEqual(waitsFor('StorageUnavailable'))
  expect(await callOf(callSid)).toMatchObject({ recordingState: 'stored' })
  expect(bench.alarms.active()).toEqual([])
})

test.each([
  ['the bucket does not exist', 'HEAD', { status: 404, code: 'NoSuchBucket' }],
  ['the key may not access the bucket', 'HEAD', { status: 403, code: 'AccessDenied' }],
  ['the key may not list objects', 'GET', { status: 403, code: 'AccessDenied' }],
  ['the key is wrong', 'GET', { status: 403, code: 'InvalidAccessKeyId' }],
])('When %s, then the check waits with an alarm until this is corrected', async (_what, method, fault) => {
  const callSid = await stored()
  const check = () => (method === 'HEAD' ? bench.run('checkRows', { sampled: true }) : bench.run('checkObjects', {}))
  faulty.next(method, fault)
  await expect(check()).rejects.toEqual(waitsFor('StorageMisconfigured'))
  expect(bench.alarms.active().map(({ name }) => name)).toEqual(['StorageMisconfigured'])
  expect(await callOf(callSid)).toMatchObject({ recordingState: 'stored' })
  await check()
  expect(bench.alarms.active()).toEqual([])
})

describe('When the store ends a page of the list early', () => {
  /** Keeps this number of objects of a page, and announces that more follow. */
  const cutAfter = (keep: number) => (xml: string) => {
    const contents = xml.match(/<Contents>.*?<\/Contents>/gs) ?? []
    const begin = /<StartAfter>(.*?)<\/StartAfter>/.exec(xml)?.[1] ?? '!'
    const token = `<NextContinuationToken>${begin}</NextContinuationToken>`
    return contents
      .slice(keep)
      .reduce((rest, each) => rest.replace(each, ''), xml)
      .replace(/<IsTruncated>.*?<\/IsTruncated>/, `<IsTruncated>true</IsTruncated>${token}`)
  }
  async function countObjects(): Promise<number> {
    let objects = 0
    let after: string | undefined
    do {
      const page = await bench.run('checkObjects', after === undefined ? {} : { after })
      objects += page.objects
      after = page.last
    } while (after !== undefined)
    return objects
  }

  test.each([
    ['after one object', [cutAfter(1), cutAfter(1)]],
    ['before the first object', [cutAfter(0)]],
    ['before and after the first object', [cutAfter(0), cutAfter(1), cutAfter(0)]],
  ])('%s, then the check continues where the page ended', async (_where, rewrites) => {
    for (let i = 0; i < 3; i += 1) await stored()
    const all = (await bench.bucket.keys()).length
    faulty.rewriteLists(...rewrites)
    expect(await countObjects()).toBe(all)
  })

  test('and the next page does not advance, then the check waits instead of reading it forever', async () => {
    await stored()
    faulty.rewriteLists(cutAfter(0), cutAfter(0), cutAfter(0))
    await expect(bench.run('checkObjects', {})).rejects.toEqual(waitsFor('StorageUnavailable'))
    faulty.rewriteLists(cutAfter(1))
    const { last } = await bench.run('checkObjects', {})
    const sameObject = `<Contents><Key>${last}</Key><Size>1</Size></Contents>`
    faulty.rewriteLists((xml) => cutAfter(1)(xml.replace(/<Contents>.*<\/Contents>/s, sameObject)))
    await expect(bench.run('checkObjects', { after: last! })).rejects.toEqual(waitsFor('StorageUnavailable'))
    faulty.rewriteLists()
  })
})

describe('When a stored call has a second object in the bucket', () => {
  test('then the object is kept and not read, and is checked again when the first one is missing', async () => {
    const callSid = await stored()
    const second = `recordings/2026/11/27/${callSid}-${SHA256.slice(0, 12)}.mp3`
    await put(second)
    const before = await bench.database.recordingAttempt.count({ where: { callSid } })
    for (let night = 0; night < 2; night += 1) {
      faulty.requests.length = 0
      expect(await bench.run('checkObjects', {})).toMatchObject({ adopted: 0, surplus: 1 })
      expect(faulty.requests.filter(({ method, url }) => method === 'GET' && url.includes(callSid))).toEqual([])
    }
    expect(await bench.database.recordingAttempt.count({ where: { callSid } })).toBe(before)
    expect(await callOf(callSid)).toMatchObject({ recordingUrl: expect.stringContaining(keyOf(callSid)) })

    await bench.bucket.client.send(new DeleteObjectCommand({ Bucket: bench.bucket.name, Key: keyOf(callSid) }))
    await bench.run('checkRows', { sampled: false })
    expect(await callOf(callSid)).toMatchObject({ recordingState: 'failed' })
    expect(await bench.run('checkObjects', {})).toMatchObject({ adopted: 1, surplus: 0 })
    expect(await callOf(callSid)).toMatchObject({ recordingState: 'stored', recordingUrl: expect.stringContaining(second) })
  })

  test('then the row of the check counts it', async () => {
    const found = { rows: 1, missing: 0, objects: 2, unknown: 0, adopted: 0, deleted: 0, foreign: 0, surplus: 1 }
    await bench.run('recordObjectCheck', { ...found, full: false })
    expect(await bench.database.objectCheck.findFirst({ orderBy: { id: 'desc' } })).toMatchObject(found)
  })
})

test('When an object does not have the bytes that its key names, then it is read once, and again only if it is replaced', async () => {
  const callSid = newCallSid()
  const key = keyOf(callSid, 'cccccccccccc')
  await nameRecording(bench.database, callSid, { sourceUrl: LINK })
  await put(key)
  const reads = async (): Promise<number> => {
    faulty.requests.length = 0
    await bench.run('checkObjects', {})
    return faulty.requests.filter(({ method, url }) => method === 'GET' && url.includes(callSid)).length
  }
  expect(await reads()).toBe(1)
  expect(await reads()).toBe(0)
  expect(await bench.database.recordingAttempt.findMany({ where: { callSid } })).toMatchObject([
    { state: 'failed', errorCode: 'RecordingInvalid', sourceUrl: `object:${key}`, objectKey: null },
  ])
  await eventually('the store’s clock to go on', async () => {
    await put(key)
    return (await reads()) === 1
  })
  expect(await bench.bucket.keys()).toContain(key)
})

test('When an object has no row, then it is adopted if its call is known, deleted if its call was erased, and otherwise not changed', async () => {
  const { unknown: before } = await bench.run('checkObjects', {})
  const callSids = Array.from({ length: 7 }, newCallSid)
  const [known, named, erased, stranger, liar, several, damaged] = callSids as [
    CallSid,
    CallSid,
    CallSid,
    CallSid,
    CallSid,
    CallSid,
    CallSid,
  ]
  await bench.database.call.create({ data: { callSid: known, recordingState: 'not_recorded' } })
  await nameRecording(bench.database, named, { sourceUrl: LINK })
  await bench.database.call.create({ data: { callSid: erased, recordingState: 'erased' } })
  await bench.database.call.create({
    data: { callSid: liar, recordingState: 'failed', recordingError: 'x', recordingErrorCode: 'ExotelUnavailable' },
  })
  for (const link of [LINK, `${LINK}2`]) await nameRecording(bench.database, several, { sourceUrl: link })
  await nameRecording(bench.database, damaged, { sourceUrl: LINK })
  for (const callSid of [known, named, erased, stranger, several]) await put(keyOf(callSid))
  const inQuarantine = keyOf(damaged).replace('recordings/', 'quarantine/')
  await put(inQuarantine)
  await put(keyOf(liar, 'bbbbbbbbbbbb'))
  await put('somebody-elses.txt')
  expect(await bench.run('checkObjects', {})).toMatchObject({ adopted: 2, deleted: 1, unknown: before + 4, foreign: 1 })
  expect((await callOf(named)).recordings).toMatchObject([{ sourceUrl: LINK, state: 'stored', sha256: SHA256, objectKey: keyOf(named) }])
  expect(await callOf(known)).toMatchObject({ recordingState: 'stored', recordingUrl: expect.stringContaining(keyOf(known)) })
  expect(await callOf(liar)).toMatchObject({ recordingState: 'failed' })
  const keys = await bench.bucket.keys()
  expect(keys).not.toContain(keyOf(erased))
  expect(keys).toEqual(expect.arrayContaining([keyOf(stranger), keyOf(liar, 'bbbbbbbbbbbb'), inQuarantine, 'somebody-elses.txt']))
  expect((await callOf(damaged)).recordings).toMatchObject([{ state: 'awaiting', objectKey: null }])
  expect(await bench.run('checkObjects', {})).toMatchObject({ adopted: 0, deleted: 0, unknown: before + 4 })
  expect((await callOf(several)).recordings).toMatchObject([{ state: 'awaiting' }, { state: 'awaiting' }]) // it is unknown which of them the object is
})

test('When an object without a known link is missing, then its call is given up, and each check is recorded as an attempt', async () => {
  const callSid = newCallSid()
  await bench.database.call.create({ data: { callSid, recordingState: 'not_recorded' } })
  await put(keyOf(callSid))
  await bench.run('checkObjects', {})
  await bench.bucket.client.send(new DeleteObjectCommand({ Bucket: bench.bucket.name, Key: keyOf(callSid) }))
  await bench.run('checkRows', { sampled: false })
  expect(await callOf(callSid)).toMatchObject({ recordingState: 'failed', recordingErrorCode: 'ObjectMissing', recordingNextTryAt: null })
  expect((await callOf(callSid)).recordingGivenUpAt).not.toBeNull()
  expect(await bench.database.recordingAttempt.findMany({ where: { callSid }, select: { state: true, errorCode: true } })).toEqual([
    { state: 'stored', errorCode: null },
    { state: 'failed', errorCode: 'ObjectMissing' },
  ])
})

test('When an object that was missing exists again, then its call is stored again', async () => {
  const callSid = await stored({ object: false })
  await bench.run('checkRows', { sampled: false })
  expect(await callOf(callSid)).toMatchObject({ recordingState: 'failed' })
  await put(keyOf(callSid))
  await bench.run('checkObjects', {})
  expect(await callOf(callSid)).toMatchObject({ recordingState: 'stored', recordingErrorCode: null })
})
