// Which recordings the background takes, and what happens to peaks when a call is erased.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { findPeaksSubject, readPeaks, recordPeaks, type PeaksSubject } from '../../calls/recording-peaks.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { PeaksResult } from '../../contracts/peaks.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { untilBlocked } from '../support/locks.ts'
import { storeRecording, type StoredRecording } from '../support/stored-recording.ts'

const PEAKS: PeaksResult = { kind: 'peaks', peaks: { channels: [Uint8Array.of(1, 2), Uint8Array.of(3, 4)], durationSeconds: 1.5 } }
const BYTES = Buffer.from('the bytes of a recording')

let bench: Workbench
beforeAll(async () => {
  bench = await openWorkbench({ waitScale: 0 }) // no object is too young for the object check
})
afterAll(() => bench?.close())

const find = (before?: string) => bench.run('findRecordingsWithoutPeaks', before === undefined ? {} : { before })
const rowOf = (id: string) => bench.database.recordingPeaks.findUnique({ where: { recordingId: BigInt(id) } })

async function subjectOf({ id }: StoredRecording): Promise<PeaksSubject> {
  const found = await findPeaksSubject(bench.database, { recordingId: id, priority: 'listener', bucket: bench.bucket.name })
  if (found.kind !== 'due') throw new Error(found.kind)
  return found
}

async function withPeaks(result: PeaksResult): Promise<StoredRecording> {
  const recording = await storeRecording(bench, BYTES)
  expect(await recordPeaks(bench.database, await subjectOf(recording), result)).toBe(true)
  return recording
}

async function erase(callSid: CallSid): Promise<void> {
  const erased = { recordingState: 'erased', recordingUrl: null, recordingError: null, recordingErrorCode: null }
  await bench.database.call.update({ where: { callSid }, data: erased })
}

/** All pages, as the workflow requests them. */
async function findAll(): Promise<string[][]> {
  const pages: string[][] = []
  let before: string | undefined
  do {
    const page = await find(before)
    pages.push(page.recordingIds)
    before = page.before
  } while (before !== undefined)
  return pages
}

test('When recordings are stored, then those without peaks are found, the newest first', async () => {
  const old = await storeRecording(bench, BYTES)
  await withPeaks(PEAKS)
  await withPeaks({ kind: 'none', reason: 'cannot be decoded' })
  await withPeaks({ kind: 'none', reason: 'missing', isTemporary: true })
  await storeRecording(bench, BYTES, 'quarantined')
  const erased = await storeRecording(bench, BYTES)
  await erase(erased.callSid)
  const elsewhere = await storeRecording(bench, BYTES)
  await bench.database.recording.update({ where: { id: BigInt(elsewhere.id) }, data: { bucket: 'another' } })
  const due = await withPeaks({ kind: 'none', reason: 'missing', isTemporary: true })
  await bench.database.recordingPeaks.update({ where: { recordingId: BigInt(due.id) }, data: { nextTryAt: new Date(Date.now() - 1000) } })
  const replaced = await withPeaks(PEAKS)
  await bench.database.recording.update({ where: { id: BigInt(replaced.id) }, data: { sha256: 'b'.repeat(64) } })
  const newest = await storeRecording(bench, BYTES)

  expect((await findAll()).flat()).toEqual([newest.id, replaced.id, due.id, old.id])
})

test('When thousands of recordings have no peaks, then each is found once, in batches of twenty', async () => {
  await bench.owner.$executeRaw`INSERT INTO calls (call_sid) SELECT 'c' || i FROM generate_series(1, 2500) AS i`
  await bench.owner.$executeRaw`
    INSERT INTO recordings (call_sid, source_url, state, bucket, object_key, bytes, sha256)
    SELECT 'c' || i, 'https://recordings.exotel.com/' || i, CASE WHEN i <= 45 OR i > 2475 THEN 'stored' ELSE 'awaiting' END, ${bench.bucket.name}, 'k' || i, 1,
           repeat('a', 64) FROM generate_series(1, 2500) AS i`
  const rows = await bench.owner.$queryRaw<{ id: string }[]>`
    SELECT id::text FROM recordings WHERE call_sid ~ '^c[0-9]+$' AND state = 'stored' ORDER BY recordings.id DESC`
  const pages = await findAll()
  const found = pages.flat()
  expect(found.slice(0, 70)).toEqual(rows.map(({ id }) => id))
  expect(new Set(found).size).toBe(found.length)
  expect(Math.max(...pages.map((page) => page.length))).toBeLessThanOrEqual(20)
  // The pages without any recording in between are read at once.
  expect(pages.filter((page) => page.length === 0).length).toBeLessThanOrEqual(1)
})

describe('When a call is erased', () => {
  test('then its peaks are not read', async () => {
    const { id, callSid } = await withPeaks(PEAKS)
    expect(await readPeaks(bench.database, id)).toEqual(PEAKS)
    await erase(callSid)
    expect(await readPeaks(bench.database, id)).toBeUndefined()
    expect(await bench.run('computePeaks', { recordingId: id, priority: 'listener' })).toEqual({ kind: 'gone' })
  })

  test.each([
    ['alone', false],
    ['with its rows', true],
  ])('%s, then the next object check deletes its peaks, and those of no other call', async (_how, rows) => {
    const [erased, other] = [await withPeaks(PEAKS), await withPeaks(PEAKS)]
    await erase(erased.callSid)
    if (rows) await bench.database.recording.updateMany({ where: { callSid: erased.callSid }, data: { state: 'erased' } })
    await bench.run('checkObjects', {})
    expect(await rowOf(erased.id)).toBeNull()
    expect(await rowOf(other.id)).not.toBeNull()
  })

  test('while its peaks are computed, then they are not stored', async () => {
    const recording = await storeRecording(bench, BYTES)
    const subject = await subjectOf(recording)
    await erase(recording.callSid)
    expect(await recordPeaks(bench.database, subject, PEAKS)).toBe(false)
    expect(await rowOf(recording.id)).toBeNull()
  })

  test('at the same time as its peaks are stored, then the statement waits for it and stores nothing', async () => {
    const recording = await storeRecording(bench, BYTES)
    const subject = await subjectOf(recording)
    let recorded: Promise<boolean> | undefined
    await bench.owner.$transaction(async (transaction) => {
      await transaction.$executeRaw`
        UPDATE calls SET recording_state = 'erased', recording_url = NULL WHERE call_sid = ${recording.callSid}`
      recorded = recordPeaks(bench.database, subject, PEAKS)
      await untilBlocked(bench.database, [recorded])
    })
    expect(await recorded).toBe(false)
    expect(await rowOf(recording.id)).toBeNull()
  })
})
