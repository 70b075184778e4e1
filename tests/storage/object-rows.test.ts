// The rows that the object check reads and writes, without a bucket.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { Outcome } from '../../contracts/recording.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import { markObjectMissing, recordObjectCheck, sampleStoredRows, storedRowsAfter } from '../../calls/object-check.ts'
import { markRecordingsErased, unknownKeys } from '../../calls/object-owners.ts'
import type { Database } from '../../platform/database.ts'
import { RECOVERY } from '../support/activities.ts'
import { newCallSid, openDatabase } from '../support/servers.ts'

const LINK = 'https://recordings.exotel.com/a/1.mp3'
const BUCKET = 'recordings-of-the-company'
const ROWS = 250
const PAGE = 100

let database: Database
let owner: Database
let close: () => Promise<void>
let callSid: CallSid
beforeAll(async () => {
  ;({ database, owner, close } = await openDatabase())
})
beforeEach(async () => {
  await owner.$executeRaw`TRUNCATE calls, recordings, recording_attempts CASCADE`
  callSid = newCallSid()
})
afterAll(() => close?.())

const stored = { state: 'stored', bucket: BUCKET, bytes: 5n, sha256: 'a'.repeat(64) }
async function store(count: number): Promise<void> {
  await owner.call.create({ data: { callSid, recordingState: 'stored', recordingUrl: `https://s3.test/${BUCKET}/k0` } })
  const row = (index: number) => ({ ...stored, callSid, sourceUrl: `${LINK}?${index}`, objectKey: `k${index}` })
  await owner.recording.createMany({ data: Array.from({ length: count }, (_, index) => row(index)) })
}

describe('When more recordings are stored than a page has rows', () => {
  test('then all pages together have each row once, also if rows were updated and are stored at another place of the table', async () => {
    await store(ROWS)
    await owner.recording.updateMany({ where: { objectKey: { in: ['k0', 'k50'] } }, data: { remark: 'updated' } })
    const keys: string[] = []
    for (let after: string | undefined = '0'; after !== undefined;) {
      const page = await storedRowsAfter(database, after, { bucket: BUCKET, limit: PAGE })
      keys.push(...page.map(({ key }) => key))
      after = page.at(-1)?.id
    }
    expect(keys).toEqual(Array.from({ length: ROWS }, (_, index) => `k${index}`))
  })

  test('then a sample has as many rows as requested, and each row is in one of several samples', async () => {
    await store(ROWS)
    const seen = new Set<string>()
    for (let sample = 0; sample < 40; sample += 1) {
      const rows = await sampleStoredRows(database, { bucket: BUCKET, limit: PAGE })
      expect(rows).toHaveLength(PAGE)
      for (const { key } of rows) seen.add(key)
    }
    expect(seen.size).toBe(ROWS)
  })
})

test('When an object is missing, then the row of its call says since when, and when it is requested again', async () => {
  await store(1)
  const before = new Date(Date.now() - 3600_000)
  await owner.call.update({ where: { callSid }, data: { recordingStateSince: before } })
  const [row] = await storedRowsAfter(database, '0', { bucket: BUCKET, limit: 1 })
  expect(await markObjectMissing(database, row!, { error: 'The object is missing', attempt: 'check' })).toEqual({ givenUp: false })
  const call = await database.call.findUniqueOrThrow({ where: { callSid } })
  expect(call).toMatchObject({ recordingState: 'failed', recordingNextTryAt: expect.any(Date), recordingGivenUpAt: null })
  expect(call.recordingStateSince.getTime()).toBeGreaterThan(before.getTime())
})

test('When the result of a check is recorded twice, then there is one row, and each count is in its column', async () => {
  const check = { full: true, rows: 1, missing: 2, objects: 3, unknown: 4, adopted: 5, deleted: 6, foreign: 7, surplus: 8 }
  for (let times = 0; times < 2; times += 1) await recordObjectCheck(database, 'run/1', check)
  expect(await database.objectCheck.findMany()).toMatchObject([check])
})

test('When a recording was in quarantine before it was stored, then the objects of both have a row', async () => {
  const audio = { contentType: 'audio/mpeg', extension: 'mp3' }
  const object = { bucket: BUCKET, url: 'https://s3.test/x.mp3', bytes: 5, sha256: 'a'.repeat(64), audio }
  const outcomes: Outcome[] = [
    { state: 'quarantined', code: 'RecordingDamaged', error: 'cut', key: 'quarantine/x.mp3', ...object },
    { state: 'stored', key: 'recordings/x.mp3', ...object },
  ]
  for (const outcome of outcomes)
    await concludeRecording(database, { callSid, sourceUrl: LINK, outcome }, { attempt: outcome.state, plan: RECOVERY })
  expect(await unknownKeys(database, ['quarantine/x.mp3', 'recordings/x.mp3', 'recordings/y.mp3'])).toEqual(['recordings/y.mp3'])
})

test('When a call is not erased, then its recordings are not marked as erased together with one of them', async () => {
  await store(2)
  const statesOf = async () => (await database.recording.findMany({ where: { callSid } })).map(({ state }) => state)
  await markRecordingsErased(database, callSid)
  expect(await statesOf()).toEqual(['stored', 'stored'])
  await database.call.update({ where: { callSid }, data: { recordingState: 'erased', recordingUrl: null } })
  await markRecordingsErased(database, callSid)
  expect(await statesOf()).toEqual(['erased', 'erased'])
})
