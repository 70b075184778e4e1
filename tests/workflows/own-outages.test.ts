// Faults of our own storage, workers and code.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Context } from '@temporalio/activity'
import { Worker } from '@temporalio/worker'
import { spoolQueues } from '../../contracts/names.ts'
import type { SourceRef } from '../../contracts/recording.ts'
import { eventually } from '../support/eventually.ts'
import {
  BUSY_SPOOL,
  failedAttempt,
  HOUR,
  type Harness,
  LINK,
  MINUTE,
  ONE_BYTE,
  openHarness,
  POLICY,
  retriedLater,
  type Run,
} from '../support/workflow-harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(() => harness?.close())

const now = () => harness.env.currentTimeMs()

describe('When our own services fail', () => {
  test('then the recording is stored without a second download after S3 was unavailable for 24 h', async () => {
    const until = (await now()) + 24 * HOUR
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        uploadRecording: async () =>
          (await now()) < until ? Promise.reject(retriedLater('StorageUnavailable', 5 * MINUTE)) : { bucket: 'b', key: 'k', url: 'u' },
      },
    )
    await harness.env.sleep('25h')
    expect(await run.ended()).toBeUndefined()
    expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(1)
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
  })

  test('then an unknown error is retried for a day, and then the recording fails', async () => {
    const startMs = await now()
    const run = await harness.start({ sourceUrls: [LINK] }, { validateRecording: () => Promise.reject(failedAttempt('InternalError')) })
    expect(await run.ended()).toBe('InternalError')
    expect(run.concludedAtMs - startMs).toBeGreaterThan(24 * HOUR)
    expect(run.concludedAtMs - startMs).toBeLessThan(26 * HOUR)
  })
})

describe('When the worker with the file is lost', () => {
  test('then the recording is downloaded again after the schedule-to-start timeout, and no failure is counted', async () => {
    let downloads = 0
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () => ({
          queue: ++downloads <= 4 ? 'spool-of-the-dead' : 'spool-lab',
          file: 'f',
          bytes: 1,
          sha256: 'a',
        }),
      },
      { policy: { ...POLICY, spoolLostAfterMs: 1000 } },
    )
    await harness.untilConcluded(run)
    await harness.env.sleep('1 minute') // the files of the lost worker are not deleted within this time
    expect(await run.ended()).toBeUndefined()
    expect(downloads).toBe(5)
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
  })

  test('then a recording whose file is missing is downloaded again at once', async () => {
    let validations = 0
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        validateRecording: async () =>
          ++validations === 1
            ? Promise.reject(failedAttempt('SpoolFileLost'))
            : { kind: 'good', etag: 'e', audio: { contentType: 'a', extension: 'mp3' } },
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(2)
  })
})

test('When a task waits in the queue of a worker for longer than the limit, then the file does not count as lost while the worker has it', async () => {
  const answers = [true, true, false]
  let downloads = 0
  const run = await harness.start(
    { sourceUrls: [LINK] },
    {
      downloadRecording: async () => ({ ...ONE_BYTE, queue: (downloads += 1) === 1 ? BUSY_SPOOL : 'spool-lab' }),
      checkSpool: async () => answers.shift()!,
    },
    { policy: { ...POLICY, spoolLostAfterMs: 1000 } },
  )
  await harness.untilConcluded(run)
  expect(await run.ended()).toBeUndefined()
  expect(answers).toEqual([])
  expect(downloads).toBe(2)
})

test('When an upload waits in the queue of a worker for longer than the limit, then the recording is not downloaded again', async () => {
  const file = { ...ONE_BYTE, queue: BUSY_SPOOL }
  let release = (): void => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  let other: Run | undefined
  const activities = {
    validateRecording: async ({ callSid }: SourceRef) => {
      const { heartbeat } = Context.current()
      if (callSid === other?.callSid) await released // keeps the only slot of the worker, and the upload of the first call waits
      other ??= await harness.start({ sourceUrls: [LINK] }, { downloadRecording: async () => file })
      await eventually('a task of another call to be queued', async () => (heartbeat(), (await other!.status()).step === 'validate'))
      return { kind: 'good', etag: 'e', audio: { contentType: 'audio/mpeg', extension: 'mp3' } }
    },
    uploadRecording: async () => ({ bucket: 'b', key: 'k', url: 'u' }),
  }
  const { nativeConnection: connection } = harness.env
  const taskQueue = spoolQueues(BUSY_SPOOL).transfers
  const worker = await Worker.create({ connection, taskQueue, activities, maxConcurrentActivityTaskExecutions: 1 })
  await worker.runUntil(async () => {
    let [downloads, checks] = [0, 0]
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () => ((downloads += 1), file),
        checkSpool: async () => {
          if ((checks += 1) === 2) release()
          return true
        },
      },
      { policy: { ...POLICY, spoolLostAfterMs: 1000 } },
    )
    await eventually('the end or a second download', async () => run.conclusions.length > 0 || downloads > 1)
    release()
    expect([downloads, run.conclusions]).toMatchObject([1, [{ outcome: { state: 'stored' } }]])
    await Promise.all([run.ended(), other!.ended()])
  })
})

test('When a worker stops during a step of a transfer, then Temporal notices that after 15 s without a heartbeat', async () => {
  const run = await harness.start({ sourceUrls: [LINK] })
  expect(await run.ended()).toBeUndefined()
  const { events } = await run.handle.fetchHistory()
  const scheduled = events!.flatMap(({ activityTaskScheduledEventAttributes: activity }) => activity ?? [])
  const seconds = scheduled.map(({ activityType, heartbeatTimeout }) => [activityType?.name, Number(heartbeatTimeout?.seconds)])
  expect(Object.fromEntries(seconds)).toMatchObject({ downloadRecording: 15, validateRecording: 15, uploadRecording: 15 })
})

test('When another object has the key of a recording, then the outcome contains both remarks: about the audio and about the key', async () => {
  const audio = { contentType: 'audio/mpeg', extension: 'mp3' }
  const run = await harness.start(
    { sourceUrls: [LINK] },
    {
      validateRecording: async () => ({ kind: 'good', etag: 'e', audio, remark: 'The recording lasts 1 s, the call 300 s' }),
      uploadRecording: async () => ({ bucket: 'b', key: 'k', url: 'u', remark: 'A foreign object has the key x' }),
    },
  )
  expect(await run.ended()).toBeUndefined()
  const { outcome } = run.conclusions[0]!
  expect(outcome).toMatchObject({ state: 'stored', remark: expect.stringContaining('The recording lasts 1 s, the call 300 s') })
  expect(outcome).toMatchObject({ remark: expect.stringContaining('A foreign object has the key x') })
})
