// Waveform peaks of stored recordings: computed from their objects, stored once, read, and computed again where that can help.
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { findPeaksSubject, readPeaks, recordPeaks, type PeaksSubject } from '../../calls/recording-peaks.ts'
import type { PeaksResult } from '../../contracts/peaks.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { peaksOf } from '../support/peaks.ts'
import { storeRecording, type StoredRecording } from '../support/stored-recording.ts'
import { base } from '../corpus/recipes.ts'

const TONES = base('tones.mp3')
const OTHER = base('pcm-stereo-16000.wav')
const UNREADABLE = Buffer.from('neither audio nor anything else that is known')
const NO_AUDIO: PeaksResult = { kind: 'none', reason: 'No audio was found in the file' }

let faulty: FaultyS3
let bench: Workbench
beforeAll(async () => {
  faulty = await startFaultyS3()
  bench = await openWorkbench({ s3Endpoint: faulty.url })
})
afterEach(() => faulty.reset())
afterAll(async () => {
  await bench?.close()
  await faulty?.close()
})

const compute = (recordingId: string, priority: 'background' | 'listener' = 'background') =>
  bench.run('computePeaks', { recordingId, priority })
const read = (id: string) => readPeaks(bench.database, id)
const rowOf = (id: string) => bench.database.recordingPeaks.findUnique({ where: { recordingId: BigInt(id) } })
const getsOf = (key: string) => faulty.requests.filter(({ method, url }) => method === 'GET' && url.includes(key)).length
const remove = (Key: string) => bench.bucket.client.send(new DeleteObjectCommand({ Bucket: bench.bucket.name, Key }))
const put = (Key: string, Body: Buffer) => bench.bucket.client.send(new PutObjectCommand({ Bucket: bench.bucket.name, Key, Body }))
const waitsFor = (type: string) => expect.objectContaining({ type, category: 'BENIGN' })
const passTime = (id: string) =>
  bench.database.recordingPeaks.update({ where: { recordingId: BigInt(id) }, data: { nextTryAt: new Date(Date.now() - 1000) } })

async function subjectOf({ id }: StoredRecording): Promise<PeaksSubject> {
  const found = await findPeaksSubject(bench.database, { recordingId: id, priority: 'background', bucket: bench.bucket.name })
  if (found.kind !== 'due') throw new Error(found.kind)
  return found
}

describe('When the peaks of a recording are computed', () => {
  test.each([
    ['an MP3', TONES],
    ['a WAV', OTHER],
    ['a mono MP3', base('mono-8000.mp3')],
  ])('of %s, then those of its object are stored, and nothing is read again', async (_what, file) => {
    const { id, key } = await storeRecording(bench, file)
    expect(await read(id)).toBeUndefined()
    expect(await compute(id)).toEqual({ kind: 'peaks' })
    expect(await read(id)).toEqual(await peaksOf(file))
    expect(await compute(id, 'listener')).toEqual({ kind: 'known' })
    expect(getsOf(key)).toBe(1)
  })

  test('and the file cannot be decoded, then the reason is remembered, and the file is not read again', async () => {
    const { id, key } = await storeRecording(bench, UNREADABLE)
    expect(await compute(id)).toEqual({ kind: 'none' })
    expect(await read(id)).toEqual(NO_AUDIO)
    for (const priority of ['background', 'listener'] as const) expect(await compute(id, priority)).toEqual({ kind: 'known' })
    expect(getsOf(key)).toBe(1)
  })

  test('and it is in quarantine, then a listener gets them', async () => {
    const { id } = await storeRecording(bench, base('float.wav'), 'quarantined')
    expect(await compute(id, 'listener')).toEqual({ kind: 'peaks' })
    expect(await read(id)).toEqual(await peaksOf(base('float.wav')))
  })

  test('and nobody knows it, it is not stored, or its object is in another bucket, then nothing is stored', async () => {
    const [failed, elsewhere] = [await storeRecording(bench, TONES), await storeRecording(bench, TONES)]
    await bench.owner.recording.update({
      where: { id: BigInt(failed.id) },
      data: { state: 'failed', error: 'x', errorCode: 'ObjectMissing' },
    })
    await bench.owner.recording.update({ where: { id: BigInt(elsewhere.id) }, data: { bucket: 'another' } })
    for (const id of [failed.id, elsewhere.id, '999999999']) {
      expect(await compute(id)).toEqual({ kind: 'gone' })
      expect(await rowOf(id)).toBeNull()
    }
  })
})

describe('When a recording has another object than before', () => {
  const replace = async ({ id }: StoredRecording, sha256 = 'b'.repeat(64)) =>
    bench.database.recording.update({ where: { id: BigInt(id) }, data: { sha256 } })

  test('then its old peaks are not shown, and new ones replace them', async () => {
    const recording = await storeRecording(bench, TONES)
    await compute(recording.id)
    await put(recording.key, OTHER)
    await bench.database.recording.update({
      where: { id: BigInt(recording.id) },
      data: { sha256: 'c'.repeat(64), bytes: BigInt(OTHER.length) },
    })
    expect(await read(recording.id)).toBeUndefined()
    expect(await compute(recording.id)).toEqual({ kind: 'peaks' })
    expect(await read(recording.id)).toEqual(await peaksOf(OTHER))
  })

  test('then a reason for the old one does not count', async () => {
    const recording = await storeRecording(bench, UNREADABLE)
    await compute(recording.id)
    await replace(recording)
    expect(await read(recording.id)).toBeUndefined()
    expect(await subjectOf(recording)).toMatchObject({ sha256: 'b'.repeat(64) })
  })

  test('then peaks of the old one that are computed late are not stored', async () => {
    const recording = await storeRecording(bench, TONES)
    const subject = await subjectOf(recording)
    await replace(recording)
    expect(await recordPeaks(bench.database, subject, NO_AUDIO)).toBe(false)
    expect(await rowOf(recording.id)).toBeNull()
  })
})

describe('When the object of a recording', () => {
  test.each([
    ['is missing', (key: string) => remove(key), 'The object is missing'],
    ['has another size', (key: string) => put(key, OTHER), `The object has ${OTHER.length} bytes instead of ${TONES.length}`],
    [
      'is refused by the store, which returns others',
      async (key: string) => faulty.always('GET', new RegExp(key), { status: 403, code: 'AccessDenied' }),
      'The store refuses to return the object',
    ],
  ])('%s, then this is remembered for a day, but not for listeners', async (_what, spoil, reason) => {
    const { id, key } = await storeRecording(bench, TONES)
    await spoil(key)
    expect(await compute(id)).toEqual({ kind: 'none' })
    expect(await read(id)).toEqual({ kind: 'none', reason, isTemporary: true })
    const { nextTryAt, computedAt } = (await rowOf(id))!
    expect(nextTryAt!.getTime() - computedAt.getTime()).toBe(24 * 3600_000)
    expect(await compute(id)).toEqual({ kind: 'known' })
    expect(bench.alarms.active()).toEqual([])

    faulty.reset()
    await put(key, TONES)
    expect(await compute(id, 'listener')).toEqual({ kind: 'peaks' })
    expect(await rowOf(id)).toMatchObject({ reason: null, nextTryAt: null })
  })

  test('was missing a day ago, then the background tries again', async () => {
    const { id, key } = await storeRecording(bench, TONES)
    await remove(key)
    await compute(id)
    await put(key, TONES)
    await passTime(id)
    expect(await compute(id)).toEqual({ kind: 'peaks' })
  })
})

describe('When the store', () => {
  test.each([
    ['is unavailable', 'HEAD', { status: 503, code: 'SlowDown' }],
    ['is unavailable for the bytes', 'GET', { status: 503, code: 'SlowDown' }],
  ])('%s, then the activity waits, and nothing is remembered', async (_what, method, fault) => {
    const { id } = await storeRecording(bench, TONES)
    faulty.next(method, fault)
    await expect(compute(id)).rejects.toEqual(waitsFor('StorageUnavailable'))
    expect(await rowOf(id)).toBeNull()
    expect(await compute(id)).toEqual({ kind: 'peaks' })
  })

  test('refuses all objects, then the activity waits with an alarm until this is corrected', async () => {
    const { id } = await storeRecording(bench, TONES)
    for (const method of ['HEAD', 'GET']) faulty.always(method, /^/, { status: 403, code: 'AccessDenied' })
    await expect(compute(id)).rejects.toEqual(waitsFor('StorageMisconfigured'))
    expect(bench.alarms.active().map(({ name }) => name)).toEqual(['StorageMisconfigured'])
    expect(await rowOf(id)).toBeNull()
    faulty.reset()
    expect(await compute(id)).toEqual({ kind: 'peaks' })
    expect(bench.alarms.active()).toEqual([])
  })
})

test.each([
  ['a person cancels it', 'CANCELLED', /CANCELLED/],
  ['the worker shuts down', 'WORKER_SHUTDOWN', /shutting down/],
] as const)('When an object is read and %s, then the activity ends without a result', async (_what, reason, message) => {
  const { id, key } = await storeRecording(bench, TONES)
  const held = faulty.hold('GET', new RegExp(key))
  const environment = bench.environment()
  const running = environment.run(bench.activities.computePeaks, { recordingId: id, priority: 'background' as const })
  await held.reached
  environment.cancel(reason)
  await expect(running).rejects.toThrow(message)
  expect(await rowOf(id)).toBeNull()
})

test('When a result contradicts itself, then the table refuses it', async () => {
  const { id } = await storeRecording(bench, TONES)
  const sha256 = 'a'.repeat(64)
  const bad = [
    `(${id}, '${sha256}', NULL, NULL, NULL, NULL, NULL)`,
    `(${id}, '${sha256}', 1, 'xx', 1, 'a reason', NULL)`,
    `(${id}, '${sha256}', 2, 'xxx', 1, NULL, NULL)`,
    `(${id}, '${sha256}', 1, '', 1, NULL, NULL)`,
    `(${id}, '${sha256}', 3, 'xxx', 1, NULL, NULL)`,
    `(${id}, '${sha256}', 1, 'xxx', 1, NULL, now())`,
    `(${id}, 'abc', 1, 'xxx', 1, NULL, NULL)`,
  ]
  for (const values of bad)
    await expect(
      bench.owner.$executeRawUnsafe(
        `INSERT INTO recording_peaks (recording_id, sha256, channels, peaks, duration_seconds, reason, next_try_at) VALUES ${values}`,
      ),
    ).rejects.toThrow('check constraint')
})
