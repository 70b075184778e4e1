// Outcomes that PostgreSQL does not store, for good or for a while.
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { ApplicationFailure } from '@temporalio/common'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { Conclusion, Outcome } from '../../contracts/recording.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { newCallSid } from '../support/servers.ts'

const LINK = 'https://recordings.exotel.com/a/1.mp3'

let bench: Workbench
beforeAll(async () => {
  bench = await openWorkbench()
})
afterAll(() => bench?.close())

/** @param sampleRate stored in an INTEGER column, so that a greater number is refused */
function conclusion(callSid: CallSid, sampleRate: number): Conclusion {
  const audio = { contentType: 'audio/mpeg', extension: 'mp3', sampleRate }
  const object = {
    bucket: bench.bucket.name,
    key: `recordings/${callSid}.mp3`,
    url: 'https://s3/x',
    bytes: 10,
    sha256: 'a'.repeat(64),
    audio,
  }
  return { callSid, sourceUrl: LINK, outcome: { state: 'stored', ...object } }
}

test('When PostgreSQL refuses an outcome permanently, then the activity waits for an hour with its own code and alarm', async () => {
  const callSid = newCallSid()
  const failure = await bench.run('updateCall', conclusion(callSid, 3e9)).catch((error: ApplicationFailure) => error)
  expect(failure).toMatchObject({ type: 'OutcomeRejected', nonRetryable: false, nextRetryDelay: 3600_000 })
  expect((failure as ApplicationFailure).message).toContain('22003')
  expect(bench.alarms.active()).toMatchObject([{ name: 'OutcomeRejected', reason: expect.stringContaining(callSid) }])

  await bench.run('updateCall', conclusion(newCallSid(), 8000))
  expect(bench.alarms.active()).toHaveLength(1) // the success of another call does not clear it
  await bench.run('updateCall', conclusion(callSid, 8000))
  expect(bench.alarms.active()).toEqual([])
  expect(await bench.database.call.findUniqueOrThrow({ where: { callSid } })).toMatchObject({ recordingState: 'stored' })
})

test('When the disk of PostgreSQL is full, then the activity waits, and no alarm says that PostgreSQL refuses the outcome', async () => {
  const callSid = newCallSid()
  await whileDiskIsFull(async () => {
    const failure = await bench.run('updateCall', conclusion(callSid, 8000)).catch((error: ApplicationFailure) => error)
    expect(failure).toMatchObject({ type: 'DatabaseUnavailable', nonRetryable: false })
    expect(bench.alarms.active()).toEqual([])
  })
  await bench.run('updateCall', conclusion(callSid, 8000))
  expect(await bench.database.call.findUniqueOrThrow({ where: { callSid } })).toMatchObject({ recordingState: 'stored' })
})

test('When the rows of an erased call cannot be updated, then its object is not deleted before that succeeds', async () => {
  const callSid = newCallSid()
  const stored = conclusion(callSid, 8000)
  const { key } = stored.outcome as Extract<Outcome, { state: 'stored' }>
  await bench.bucket.client.send(new PutObjectCommand({ Bucket: bench.bucket.name, Key: key, Body: '1234567890' }))
  await bench.run('updateCall', stored)
  await bench.database.call.update({ where: { callSid }, data: { recordingState: 'erased', recordingUrl: null } })
  await whileDiskIsFull(() => bench.run('updateCall', stored))
  expect(await bench.database.recording.findMany({ where: { callSid } })).toMatchObject([{ state: 'stored', objectKey: key }])
  expect(await bench.bucket.keys()).toContain(key)

  await bench.run('updateCall', stored)
  expect(await bench.database.recording.findMany({ where: { callSid } })).toMatchObject([{ state: 'erased' }])
  expect(await bench.bucket.keys()).not.toContain(key)
})

/** PostgreSQL refuses every change of a recording's row as if its disk were full. */
async function whileDiskIsFull(work: () => Promise<void>): Promise<void> {
  await bench.owner.$executeRaw`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE disk_full; END'`
  await bench.owner.$executeRaw`CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON recordings EXECUTE FUNCTION refuse()`
  try {
    await work()
  } finally {
    await bench.owner.$executeRaw`DROP FUNCTION refuse CASCADE`
  }
}
