// Recordings that no attempt downloads completely, and damaged ones.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Context } from '@temporalio/activity'
import type { UploadInput, Verdict } from '../../contracts/recording.ts'
import { DAMAGED, failedAttempt, HOUR, type Harness, LINK, ONE_BYTE, openHarness, type Script } from '../support/workflow-harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await openHarness()
})
afterAll(() => harness?.close())

describe('When each download is incomplete', () => {
  const INCOMPLETE: Verdict = { kind: 'incomplete', reason: 'cut off' }
  const KEPT = { ...ONE_BYTE, file: 'kept', broken: { reason: 'cut off' } }
  const validateRecording: Script['validateRecording'] = async ({ spooled }) => (spooled.broken ? DAMAGED : INCOMPLETE)

  test('then the incomplete file goes to quarantine after the last attempt', async () => {
    const run = await harness.start({ sourceUrls: [LINK] }, { validateRecording, keepIncomplete: async () => ({ spooled: KEPT }) })
    expect(await run.ended()).toBe('RecordingDamaged')
    expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(3)
    expect(run.conclusions).toMatchObject([
      { outcome: { state: 'quarantined', error: 'cut off', key: expect.any(String), bytes: 1, audio: { extension: 'mp3' } } },
    ])
  })

  test('then the incomplete file goes to quarantine with the code RecordingExpired if Exotel no longer has the recording', async () => {
    let downloads = 0
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () => (++downloads < 3 ? ONE_BYTE : Promise.reject(failedAttempt('RecordingExpired'))),
        validateRecording,
        keepIncomplete: async () => ({ spooled: KEPT }),
        uploadRecording: async () => ({ bucket: 'b', key: 'quarantine/k', url: 'u', remark: 'A foreign object has the key x' }),
      },
    )
    expect(await run.ended()).toBe('RecordingExpired')
    expect(run.conclusions).toMatchObject([
      {
        outcome: {
          state: 'quarantined',
          code: 'RecordingExpired',
          error: 'cut off; last error: RecordingExpired happened',
          key: 'quarantine/k',
          remark: 'A foreign object has the key x',
        },
      },
    ])
    expect(run.calls).toContain('discardRecording')
  })

  test.each<[string, Script]>([
    ['nothing is left of it', {}],
    [
      'what is left is no audio',
      {
        keepIncomplete: (() => {
          let isThere = true
          return async () => (isThere ? ((isThere = false), { spooled: KEPT }) : {})
        })(),
        validateRecording: async ({ spooled }) => (spooled.broken ? { kind: 'refused', reason: 'HTML' } : INCOMPLETE),
      },
    ],
    ['its worker is lost', { keepIncomplete: () => Promise.reject(failedAttempt('SpoolFileLost')) }],
  ])('then the recording fails if %s', async (_why, script) => {
    const run = await harness.start({ sourceUrls: [LINK] }, { validateRecording, ...script })
    expect(await run.ended()).toBe('DownloadIncomplete')
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'failed', code: 'DownloadIncomplete', error: 'cut off' } }])
  })

  test('then the longest file of all workers goes to quarantine, also if the first attempts to keep it fail', async () => {
    let attempts = 0
    let downloads = 0
    const uploads: number[] = []
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () => ({ ...ONE_BYTE, queue: ['spool-lab', 'spool-other', 'spool-third'][downloads++]! }),
        validateRecording,
        keepIncomplete: async () => {
          attempts += 1
          if (attempts <= 2) throw failedAttempt('InternalError')
          return { spooled: { ...KEPT, bytes: attempts === 4 ? 500 : attempts } }
        },
        uploadRecording: async ({ spooled: { bytes } }) => (uploads.push(bytes), { bucket: 'b', key: 'k', url: 'u' }),
      },
    )
    expect(await run.ended()).toBe('RecordingDamaged')
    expect(uploads).toEqual([500])
  })

  test('then another kept file goes to quarantine if the longest one is a page', async () => {
    const left = [{ ...KEPT, file: 'page' }, KEPT]
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        keepIncomplete: async () => (left.length > 0 ? { spooled: left.shift()! } : {}),
        validateRecording: async ({ spooled }) =>
          spooled.file === 'page' ? { kind: 'refused', reason: 'HTML' } : spooled.broken ? DAMAGED : INCOMPLETE,
      },
    )
    expect(await run.ended()).toBe('RecordingDamaged')
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'quarantined' } }])
  })

  test('then the file of another worker goes to quarantine if one worker is lost', async () => {
    let downloads = 0
    const uploads: UploadInput[] = []
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () => ({ ...ONE_BYTE, queue: ++downloads === 1 ? 'spool-other' : 'spool-lab' }),
        validateRecording,
        uploadRecording: async (input) => (uploads.push(input), { bucket: 'b', key: 'quarantine/k', url: 'u' }),
        keepIncomplete: async () =>
          Context.current().info.taskQueue === 'spool-other' ? Promise.reject(failedAttempt('SpoolFileLost')) : { spooled: KEPT },
      },
    )
    expect(await run.ended()).toBe('RecordingDamaged')
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'quarantined' } }])
    expect(uploads).toMatchObject([{ callSid: run.callSid, sourceUrl: LINK, spooled: KEPT }]) // a busy worker is asked for the file of this link
  })

  test('then another kept file goes to quarantine if the longest one is lost before its validation', async () => {
    const left = [{ ...KEPT, file: 'lost', bytes: 2 }, KEPT]
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        keepIncomplete: async () => (left.length > 0 ? { spooled: left.shift()! } : {}),
        validateRecording: async (input) =>
          input.spooled.file === 'lost' ? Promise.reject(failedAttempt('SpoolFileLost')) : validateRecording(input),
      },
    )
    expect(await run.ended()).toBe('RecordingDamaged')
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'quarantined', bytes: 1 } }])
  })

  test('then the recording fails after a day if each attempt to keep its file ends with an unknown error', async () => {
    const startMs = await harness.env.currentTimeMs()
    const hours = async () => ((await harness.env.currentTimeMs()) - startMs) / HOUR
    const keepIncomplete: Script['keepIncomplete'] = async () =>
      (await hours()) < 30 ? Promise.reject(failedAttempt('InternalError')) : { spooled: KEPT }
    const run = await harness.start({ sourceUrls: [LINK] }, { validateRecording, keepIncomplete })
    expect(await run.ended()).toBe('DownloadIncomplete')
    expect(run.concludedAtMs - startMs).toBeGreaterThan(24 * HOUR)
    expect(run.concludedAtMs - startMs).toBeLessThan(26 * HOUR)
  })

  test('then nothing is kept if the recording is too large', async () => {
    let downloads = 0
    const downloadRecording: Script['downloadRecording'] = async () =>
      ++downloads < 2 ? ONE_BYTE : Promise.reject(failedAttempt('RecordingTooLarge', { queue: 'spool-lab', reachedBytes: 10 }))
    const run = await harness.start({ sourceUrls: [LINK] }, { downloadRecording, validateRecording })
    expect(await run.ended()).toBe('RecordingTooLarge')
    expect(run.calls).not.toContain('keepIncomplete')
  })
})

test('When audio is damaged, then it goes to quarantine, and the run fails with the reason', async () => {
  const run = await harness.start({ sourceUrls: [LINK] }, { validateRecording: async () => DAMAGED })
  expect(await run.ended()).toBe('RecordingDamaged')
  expect(run.conclusions).toMatchObject([
    { outcome: { state: 'quarantined', code: 'RecordingDamaged', error: 'cut off', key: expect.any(String) } },
  ])
})

test('When audio is damaged and another object has its key, then the outcome has a remark about the key', async () => {
  const remark = 'A foreign object has the key x'
  const uploadRecording: Script['uploadRecording'] = async () => ({ bucket: 'b', key: 'quarantine/k', url: 'u', remark })
  const run = await harness.start({ sourceUrls: [LINK] }, { validateRecording: async () => DAMAGED, uploadRecording })
  expect(await run.ended()).toBe('RecordingDamaged')
  expect(run.conclusions).toMatchObject([{ outcome: { state: 'quarantined', key: 'quarantine/k', remark } }])
})
