// A call is erased by an UPDATE of its row, during any step of its recordings. Afterwards its audio is never stored again.
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import { markObjectMissing } from '../../calls/object-check.ts'
import { nameRecording } from '../../calls/recording-facts.ts'
import type { Database } from '../../platform/database.ts'
import type { Outcome } from '../../contracts/recording.ts'
import { openWorkbench, RECOVERY, type Workbench } from '../support/activities.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { untilBlocked } from '../support/locks.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'
import { SOURCE_URL, spoolRecording } from '../support/spooled.ts'

const OTHER_URL = `${SOURCE_URL}2`
const AUDIO = { contentType: 'audio/mpeg', extension: 'mp3' }
const BYTES = Buffer.from('the bytes of a recording')
const SHA256 = createHash('sha256').update(BYTES).digest('hex')

let faulty: FaultyS3
let exotel: ScriptedServer
let bench: Workbench
let database: Database
beforeAll(async () => {
  ;[faulty, exotel] = await Promise.all([startFaultyS3(), startScriptedServer()])
  bench = await openWorkbench({ s3Endpoint: faulty.url, apiBaseUrl: exotel.url, waitScale: 0 }) // no object is too young
  database = bench.database
})
afterAll(async () => {
  await bench?.close()
  await Promise.all([faulty?.close(), exotel?.close()])
})

const namesRecording: Answer = (_request, response) =>
  response.end(
    JSON.stringify({ Call: { Status: 'completed', RecordingUrl: SOURCE_URL, PreSignedRecordingUrl: `${SOURCE_URL}?Signature=1` } }),
  )
const callOf = (callSid: CallSid) => database.call.findUniqueOrThrow({ where: { callSid }, include: { recordings: true } })
const objectsOf = async (callSid: CallSid) => (await bench.bucket.keys()).filter((key) => key.includes(callSid))
const check = () => bench.run('checkObjects', {})
const keyOf = (callSid: CallSid, prefix = 'recordings') => `${prefix}/2026/11/26/${callSid}-${SHA256.slice(0, 12)}.mp3`

async function erase(callSid: CallSid, { rows = false } = {}): Promise<void> {
  const erased = { recordingState: 'erased', recordingUrl: null, recordingError: null, recordingErrorCode: null }
  await database.call.upsert({ where: { callSid }, create: { callSid, ...erased }, update: erased })
  if (rows) await database.recording.updateMany({ where: { callSid }, data: { state: 'erased' } })
}

function outcomeOf(callSid: CallSid, state: 'stored' | 'quarantined'): Extract<Outcome, { key: string }> {
  const key = keyOf(callSid, state === 'stored' ? 'recordings' : 'quarantine')
  const object = { bucket: bench.bucket.name, key, url: `${faulty.url}/${key}`, bytes: BYTES.length, sha256: SHA256, audio: AUDIO }
  return state === 'stored' ? { state, ...object } : { state, code: 'RecordingDamaged', error: 'cut', ...object }
}

/** Puts an object into the bucket, and concludes the recording like its run. */
async function conclude(callSid: CallSid, state: 'stored' | 'quarantined', sourceUrl = SOURCE_URL): Promise<Outcome> {
  const outcome = outcomeOf(callSid, state)
  await bench.bucket.client.send(new PutObjectCommand({ Bucket: outcome.bucket, Key: outcome.key, Body: BYTES }))
  await concludeRecording(database, { callSid, sourceUrl, outcome }, { attempt: `${callSid} ${sourceUrl} ${state}`, plan: RECOVERY })
  return outcome
}

describe('When a call is erased during any step, then its audio is deleted after the next check, and is not stored again:', () => {
  type Step = 'erase' | 'named by the API' | 'upload' | 'conclude' | 'quarantine' | 'check'
  const orders = permutations<Step>(['erase', 'named by the API', 'upload', 'conclude', 'check'])
    .filter((order) => order.indexOf('upload') < order.indexOf('conclude'))
    .concat(permutations<Step>(['erase', 'quarantine', 'check']))

  test.each([
    ['alone', false],
    ['with its rows', true],
  ])(`${orders.length} orders of the steps, the call erased %s`, async (_how, rows) => {
    exotel.script(namesRecording)
    for (const order of orders) {
      const callSid = newCallSid()
      const play = openCall(callSid, rows)
      for (const step of order) await play[step]()
      await check()
      const call = await callOf(callSid)
      expect({ order, objects: await objectsOf(callSid) }).toEqual({ order, objects: [] })
      expect(call).toMatchObject({ recordingState: 'erased', recordingUrl: null, recordingErrorCode: null })
      expect(call.recordings.filter(({ state }) => state === 'stored' || state === 'quarantined')).toEqual([])
      expect(await bench.run('findRecording', { callSid })).toEqual({ kind: 'erased' })
    }
  })

  function openCall(callSid: CallSid, rows: boolean): Record<Step, () => Promise<unknown>> {
    let uploaded: Outcome = { state: 'failed', code: 'Cancelled', error: 'The call was erased' }
    return {
      erase: () => erase(callSid, { rows }),
      'named by the API': () => bench.run('findRecording', { callSid }),
      upload: async () => {
        const { input } = await spoolRecording(bench, { callSid })
        const { bytes, sha256 } = input.spooled
        const object = await bench.run('uploadRecording', input).catch(() => undefined)
        if (object) uploaded = { state: 'stored', ...object, bytes, sha256, audio: input.verdict.audio }
      },
      conclude: () => bench.run('updateCall', { callSid, sourceUrl: SOURCE_URL, outcome: uploaded }),
      quarantine: () => conclude(callSid, 'quarantined', OTHER_URL),
      check,
    }
  }
})

describe('When a recording arrives for a call that was erased in the meantime', () => {
  test('then its run deletes the object that it has uploaded', async () => {
    const callSid = newCallSid()
    const { input } = await spoolRecording(bench, { callSid })
    const object = await bench.run('uploadRecording', input)
    await erase(callSid)
    const { bytes, sha256 } = input.spooled
    const outcome = { state: 'stored' as const, ...object, bytes, sha256, audio: AUDIO }
    await bench.run('updateCall', { callSid, sourceUrl: SOURCE_URL, outcome })
    expect(await objectsOf(callSid)).toEqual([])
    expect(await callOf(callSid)).toMatchObject({ recordingState: 'erased', recordings: [] })
    expect(await database.recordingAttempt.count({ where: { callSid } })).toBe(0)
  })

  test('and the object cannot be deleted, then the run ends, and the next check deletes it', async () => {
    const callSid = newCallSid()
    const outcome = outcomeOf(callSid, 'stored')
    await bench.bucket.client.send(new PutObjectCommand({ Bucket: outcome.bucket, Key: outcome.key, Body: BYTES }))
    await erase(callSid)
    faulty.next('DELETE', { status: 503, code: 'SlowDown' })
    await bench.run('updateCall', { callSid, sourceUrl: SOURCE_URL, outcome })
    expect(await objectsOf(callSid)).toHaveLength(1)
    expect(await check()).toMatchObject({ deleted: 1 })
    expect(await objectsOf(callSid)).toEqual([])
  })

  test('then nothing is uploaded', async () => {
    const { input } = await spoolRecording(bench)
    await erase(input.callSid)
    faulty.requests.length = 0
    await expect(bench.run('uploadRecording', input)).rejects.toEqual(expect.objectContaining({ type: 'Cancelled', nonRetryable: true }))
    expect(faulty.requests).toEqual([])
    expect(existsSync(bench.spool.path(input.spooled.file))).toBe(true) // its run discards it
  })

  test('then nothing is downloaded', async () => {
    const source = { callSid: newCallSid(), sourceUrl: `${exotel.url}/recordings/1.mp3` }
    exotel.script((_request, response) => response.writeHead(200).end(BYTES))
    await erase(source.callSid)
    await expect(bench.run('downloadRecording', source)).rejects.toEqual(expect.objectContaining({ type: 'Cancelled', nonRetryable: true }))
    expect(exotel.requests).toEqual([])
    expect(await bench.spool.bytesOf(bench.spool.fileFor(source.callSid, source.sourceUrl))).toBe(0)
  })

  test('and only this recording is erased, then an object that another recording of the call names stays', async () => {
    const callSid = newCallSid()
    await conclude(callSid, 'stored')
    await database.recording.create({ data: { callSid, sourceUrl: OTHER_URL, state: 'erased' } })
    await bench.run('updateCall', { callSid, sourceUrl: OTHER_URL, outcome: outcomeOf(callSid, 'stored') })
    expect(await objectsOf(callSid)).toHaveLength(1)
    expect(await callOf(callSid)).toMatchObject({ recordingState: 'stored' })
  })

  test('and only this recording is erased, then its object is deleted', async () => {
    const callSid = newCallSid()
    const outcome = outcomeOf(callSid, 'stored')
    await database.call.create({ data: { callSid, recordings: { create: { sourceUrl: SOURCE_URL, state: 'erased' } } } })
    await bench.bucket.client.send(new PutObjectCommand({ Bucket: outcome.bucket, Key: outcome.key, Body: BYTES }))
    await bench.run('updateCall', { callSid, sourceUrl: SOURCE_URL, outcome })
    expect(await objectsOf(callSid)).toEqual([])
  })

  test('then a conclusion that waits for the commit of the erasure changes nothing', async () => {
    const callSid = newCallSid()
    await nameRecording(database, callSid, { sourceUrl: SOURCE_URL })
    const context = { attempt: callSid, plan: RECOVERY }
    const [concluded, named] = await duringErasure(callSid, [
      () => concludeRecording(database, { callSid, sourceUrl: SOURCE_URL, outcome: outcomeOf(callSid, 'stored') }, context),
      () => nameRecording(database, callSid, { sourceUrl: OTHER_URL }),
    ])
    expect([concluded, named]).toEqual([{ givenUp: false, erased: true }, false])
    expect((await callOf(callSid)).recordings).toMatchObject([{ sourceUrl: SOURCE_URL, state: 'awaiting' }])
  })
})

/** Starts the work while the UPDATE that erases the call is not committed yet. */
async function duringErasure(callSid: CallSid, work: (() => Promise<unknown>)[]): Promise<unknown[]> {
  let started: Promise<unknown>[] = []
  await database.$transaction(async (transaction) => {
    await transaction.$executeRaw`UPDATE calls SET recording_state = 'erased', recording_url = NULL WHERE call_sid = ${callSid}`
    started = work.map((each) => each())
    await untilBlocked(database, started)
  })
  return Promise.all(started)
}

describe('When the bucket is checked after a call was erased', () => {
  test('then its quarantined object is deleted, although the row of an attempt names it', async () => {
    const callSid = newCallSid()
    await conclude(callSid, 'quarantined')
    expect(await check()).toMatchObject({ deleted: 0 })
    await erase(callSid)
    expect(await check()).toMatchObject({ deleted: 1 })
    expect(await objectsOf(callSid)).toEqual([])
  })

  test('then all of its several objects are deleted, and its rows no longer say stored', async () => {
    const callSid = newCallSid()
    await conclude(callSid, 'stored')
    await conclude(callSid, 'quarantined', OTHER_URL)
    await erase(callSid)
    expect(await check()).toMatchObject({ deleted: 2 })
    expect(await objectsOf(callSid)).toEqual([])
    expect((await callOf(callSid)).recordings.map(({ state }) => state)).toEqual(['erased', 'erased'])
  })

  test('and an object cannot be deleted, then an alarm is raised, until a check deletes the object', async () => {
    const callSid = newCallSid()
    await conclude(callSid, 'stored')
    await erase(callSid)
    faulty.next('DELETE', { status: 403, code: 'AccessDenied' })
    expect(await check()).toMatchObject({ deleted: 0 })
    expect(bench.alarms.active().map(({ name }) => name)).toEqual(['ErasedObjectsKept'])
    expect(await check()).toMatchObject({ deleted: 1 })
    expect(bench.alarms.active()).toEqual([])
  })

  test('then its rows are not compared with the bucket, and stay as they are', async () => {
    const callSid = newCallSid()
    await conclude(callSid, 'stored')
    const { id } = (await callOf(callSid)).recordings[0]!
    await erase(callSid)
    await bench.bucket.client.send(new PutObjectCommand({ Bucket: bench.bucket.name, Key: keyOf(callSid), Body: 'shorter' }))
    for (const sampled of [true, false]) expect(await bench.run('checkRows', { sampled })).toMatchObject({ missing: 0 })
    const row = { id: String(id), callSid, key: keyOf(callSid), bytes: BYTES.length }
    expect(await markObjectMissing(database, row, { error: 'gone', attempt: callSid })).toEqual({ givenUp: false })
    expect((await callOf(callSid)).recordings).toMatchObject([{ state: 'stored', errorCode: null }])
  })
})

describe('When an object is found missing after its row was listed', () => {
  const missing = (callSid: CallSid, id: bigint) =>
    markObjectMissing(
      database,
      { id: String(id), callSid, key: keyOf(callSid), bytes: BYTES.length },
      { error: 'gone', attempt: `missing ${callSid}` },
    )

  test('and its call is being erased, then nothing changes once that is committed', async () => {
    const callSid = newCallSid()
    await conclude(callSid, 'stored')
    const { id } = (await callOf(callSid)).recordings[0]!
    expect(await duringErasure(callSid, [() => missing(callSid, id)])).toEqual([{ givenUp: false }])
    expect(await callOf(callSid)).toMatchObject({ recordingState: 'erased', recordings: [{ state: 'stored', errorCode: null }] })
  })

  test('and only this recording was erased, then it stays erased, and its call does not change', async () => {
    const callSid = newCallSid()
    await conclude(callSid, 'stored')
    const { id } = (await callOf(callSid)).recordings[0]!
    await database.recording.update({ where: { id }, data: { state: 'erased' } })
    expect(await missing(callSid, id)).toEqual({ givenUp: false })
    expect(await callOf(callSid)).toMatchObject({ recordingState: 'stored', recordings: [{ state: 'erased', errorCode: null }] })
  })
})

describe('When Call Details of an erased call are requested', () => {
  test('then no request is sent', async () => {
    const callSid = newCallSid()
    await erase(callSid)
    exotel.script(namesRecording)
    expect(await bench.run('findRecording', { callSid })).toEqual({ kind: 'erased' })
    expect(await bench.run('renewLink', { callSid, sourceUrl: SOURCE_URL })).toEqual({ kind: 'refused' })
    expect(exotel.requests).toEqual([])
  })

  test.each([
    ['findRecording', { kind: 'erased' }],
    ['renewLink', { kind: 'refused' }],
  ] as const)('and it is erased during %s, then the answer is ignored', async (name, answer) => {
    const callSid = newCallSid()
    exotel.script(async (request, response) => {
      await erase(callSid)
      namesRecording(request, response)
    })
    expect(await bench.run(name, { callSid, sourceUrl: SOURCE_URL })).toEqual(answer)
    expect(exotel.requests).toHaveLength(1)
    expect((await callOf(callSid)).recordings).toEqual([])
  })

  test('then an erased recording of a call that is not erased gets no new link', async () => {
    const callSid = newCallSid()
    await database.call.create({ data: { callSid, recordings: { create: { sourceUrl: SOURCE_URL, state: 'erased' } } } })
    expect(await nameRecording(database, callSid, { sourceUrl: SOURCE_URL, fetchUrl: `${SOURCE_URL}?x=1` })).toBe(false)
    expect((await callOf(callSid)).recordings).toMatchObject([{ state: 'erased', fetchUrl: null }])
  })
})

function permutations<T>(items: T[]): T[][] {
  if (items.length <= 1) return [items]
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]))
}
