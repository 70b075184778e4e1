import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Context } from '@temporalio/activity'
import type { CallUpdate, Verdict, RetryWait } from '../../contracts/recording.ts'
import { eventually } from '../support/eventually.ts'
import { DAMAGED, failedAttempt, retriedLater, openLab, POLICY, type Lab, type Script } from '../support/workflow-lab.ts'

const LINK = 'https://recordings.exotel.com/a/1.mp3'
const MINUTE = 60_000
const HOUR = 60 * MINUTE

let lab: Lab
beforeAll(async () => {
  lab = await openLab()
})
afterAll(() => lab?.close())

const now = () => lab.env.currentTimeMs()
const iso = (ms: number) => new Date(ms).toISOString()
const ONE_BYTE = { queue: 'spool-lab', file: 'f', bytes: 1, sha256: 'a' }
const stored = expect.objectContaining({ state: 'stored' })

describe('When a call ends without a link', () => {
  test('then one that comes 15 min later is brought', async () => {
    const run = await lab.start({ status: 'completed' })
    await lab.env.sleep(15 * MINUTE + 1000)
    await run.news({ sourceUrls: [LINK] })
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toEqual([{ callSid: run.callSid, sourceUrl: LINK, outcome: stored }])
    expect(run.calls.filter((name) => name === 'findRecording')).toHaveLength(5)
  })

  test('then Exotel is asked 1, 2, 5, 10, 15, 30 and 60 min after the end, and its word makes it "not recorded"', async () => {
    const asked: number[] = []
    const announced: (string | undefined)[] = []
    const began = await now()
    const run = await lab.start(
      { status: 'completed', endedAt: iso(began) },
      {
        findRecording: async ({ nextRequestAt }) => {
          asked.push(await now())
          announced.push(nextRequestAt)
          return { kind: 'none', durationSeconds: POLICY.expectedFromSeconds - 1 }
        },
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toEqual([{ callSid: run.callSid, outcome: { state: 'not_recorded', status: 'completed' } }])
    expect(asked.map((ms) => Math.round((ms - began) / MINUTE))).toEqual([1, 2, 5, 10, 15, 30, 60])
    expect(announced).toEqual([...[2, 5, 10, 15, 30, 60].map((minutes) => iso(began + minutes * MINUTE)), undefined])
  })

  test('then a link that Exotel’s API names is brought', async () => {
    let asked = 0
    const run = await lab.start(
      { status: 'completed' },
      { findRecording: async () => (++asked < 3 ? { kind: 'none' } : { kind: 'named', sourceUrl: LINK }) },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'stored' } }])
  })

  test('then a call of exactly 10 s that Exotel knows without a recording has a missing one', async () => {
    const run = await lab.start({ status: 'completed', durationSeconds: POLICY.expectedFromSeconds })
    expect(await run.ended()).toBe('RecordingMissing')
    expect(run.conclusions).toMatchObject([
      { outcome: { state: 'failed', code: 'RecordingMissing', error: 'The call lasted 10 s, and Exotel has no recording of it' } },
    ])
  })

  test('then no answer from Exotel is not "there is none"', async () => {
    const run = await lab.start({ status: 'completed' }, { findRecording: async () => ({ kind: 'unavailable', reason: 'no answer' }) })
    expect(await run.ended()).toBe('ExotelUnavailable')
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'failed', code: 'ExotelUnavailable' } }])
  })

  test('then a status that says the call is running is no verdict: Exotel is asked', async () => {
    const run = await lab.start(
      { status: 'in-progress' },
      {
        findRecording: async () => (run.calls.length < 3 ? { kind: 'none', status: 'in-progress' } : { kind: 'named', sourceUrl: LINK }),
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'stored' } }])
  })

  test('then a webhook of last month is asked about once, at once', async () => {
    const ended = (await now()) - 20 * 24 * HOUR
    const run = await lab.start({ status: 'completed', endedAt: iso(ended) })
    expect(await run.ended()).toBeUndefined()
    expect(run.calls).toEqual(['findRecording', 'updateCall'])
  })

  test.each(['busy', 'no-answer', 'failed', 'canceled'])('then a %s call is not recorded, without a question', async (status) => {
    const run = await lab.start({ status })
    expect(await run.ended()).toBeUndefined()
    expect(run.calls).toEqual(['updateCall'])
    expect(run.conclusions).toEqual([{ callSid: run.callSid, outcome: { state: 'not_recorded', status } }])
  })

  test('then news that it was answered after all, in the moment of its conclusion, begins the search', async () => {
    const run = await lab.start(
      { status: 'no-answer' },
      {
        updateCall: async ({ outcome }) => {
          if (outcome.state === 'not_recorded') await run.news({ status: 'completed' })
        },
        findRecording: async () => ({ kind: 'named', sourceUrl: LINK }),
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions.map(({ outcome }) => outcome.state)).toEqual(['not_recorded', 'stored'])
  })
})

describe('When Exotel does not have the recording yet', () => {
  const notFound = () => Promise.reject(failedAttempt('RecordingNotFound'))

  test('then 404 for most of an hour is a wait, not a try', async () => {
    const began = await now()
    const run = await lab.start(
      { sourceUrls: [LINK], endedAt: iso(began) },
      {
        downloadRecording: async () =>
          (await now()) - began < 55 * MINUTE ? notFound() : { queue: 'spool-lab', file: 'f', bytes: 1, sha256: 'a' },
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
  })

  test('then after the hour three tries are enough', async () => {
    const began = await now()
    const run = await lab.start({ sourceUrls: [LINK], endedAt: iso(began) }, { downloadRecording: notFound })
    expect(await run.ended()).toBe('RecordingNotFound')
    expect(run.concludedAtMs - began).toBeGreaterThan(60 * MINUTE)
    expect(run.concludedAtMs - began).toBeLessThan(70 * MINUTE)
  })

  test('then five hours are waited where nobody knows when the call ended, or the clock is off', async () => {
    for (const endedAt of [undefined, iso((await now()) + 40 * HOUR)]) {
      const began = await now()
      const run = await lab.start({ sourceUrls: [LINK], ...(endedAt && { endedAt }) }, { downloadRecording: notFound })
      expect(await run.ended()).toBe('RecordingNotFound')
      expect(run.concludedAtMs - began).toBeGreaterThan(5 * HOUR)
    }
  })
})

describe('When Exotel refuses a recording or sends no bytes while it may still prepare it', () => {
  const WHOLE = ONE_BYTE
  const EMPTY = { ...WHOLE, bytes: 0 }
  const refused = () => Promise.reject(failedAttempt('ExotelUnauthorized'))
  const untilMinute = (began: number, minutes: number) => async () => (await now()) - began < minutes * MINUTE

  test.each(['refused', 'renewed'] as const)('then a refusal is a wait for most of an hour (access %s)', async (access) => {
    const began = await now()
    const isEarly = untilMinute(began, 50)
    const run = await lab.start(
      { sourceUrls: [LINK], endedAt: iso(began) },
      { downloadRecording: async () => ((await isEarly()) ? refused() : WHOLE), renewAccess: async () => ({ kind: access }) },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
    expect(run.calls.filter((name) => name === 'renewAccess').length).toBeLessThan(15)
  })

  test('then a refusal after the hour ends it', async () => {
    const began = await now()
    const run = await lab.start(
      { sourceUrls: [LINK], endedAt: iso(began) },
      { downloadRecording: refused, renewAccess: async () => ({ kind: 'refused' }) },
    )
    expect(await run.ended()).toBe('ExotelUnauthorized')
    expect(run.concludedAtMs - began).toBeGreaterThan(60 * MINUTE)
    expect(run.concludedAtMs - began).toBeLessThan(75 * MINUTE)
  })

  test('then an empty file is a wait for most of an hour', async () => {
    const began = await now()
    const isEarly = untilMinute(began, 55)
    const run = await lab.start(
      { sourceUrls: [LINK], endedAt: iso(began) },
      {
        downloadRecording: async () => ((await isEarly()) ? EMPTY : WHOLE),
        validateRecording: async ({ spooled }) =>
          spooled.bytes === 0
            ? { kind: 'refused', reason: 'The file is empty' }
            : { kind: 'good', etag: 'e', audio: { contentType: 'audio/mpeg', extension: 'mp3' } },
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
  })

  test('then a file that is empty after the hour is tried three times', async () => {
    const run = await lab.start(
      { sourceUrls: [LINK], endedAt: iso((await now()) - HOUR) },
      { downloadRecording: async () => EMPTY, validateRecording: async () => ({ kind: 'refused', reason: 'The file is empty' }) },
    )
    expect(await run.ended()).toBe('RecordingInvalid')
    expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(3)
  })
})

describe('When something of ours is away', () => {
  test('then S3 may be gone for 24 h, and the recording is stored without a second download', async () => {
    const until = (await now()) + 24 * HOUR
    const run = await lab.start(
      { sourceUrls: [LINK] },
      {
        uploadRecording: async () =>
          (await now()) < until ? Promise.reject(retriedLater('StorageUnavailable', 5 * MINUTE)) : { bucket: 'b', key: 'k', url: 'u' },
      },
    )
    await lab.env.sleep('25h')
    expect(await run.ended()).toBeUndefined()
    expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(1)
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
  })

  test('then an error that nobody foresaw is tried for a day, and then given up', async () => {
    const began = await now()
    const run = await lab.start({ sourceUrls: [LINK] }, { validateRecording: () => Promise.reject(failedAttempt('InternalError')) })
    expect(await run.ended()).toBe('InternalError')
    expect(run.concludedAtMs - began).toBeGreaterThan(24 * HOUR)
    expect(run.concludedAtMs - began).toBeLessThan(26 * HOUR)
  })
})

describe('When tries fail', () => {
  test.each(['ExotelUnavailable', 'DownloadIncomplete'])('then after three of %s the recording has failed', async (code) => {
    const run = await lab.start(
      { sourceUrls: [LINK] },
      { downloadRecording: () => Promise.reject(failedAttempt(code, { queue: 'spool-lab', reachedBytes: 10 })) },
    )
    expect(await run.ended()).toBe(code)
    const pause = ['downloadRecording', 'recordRetryWait']
    expect(run.calls).toEqual([...pause, ...pause, 'downloadRecording', 'keepIncomplete', 'updateCall', 'discardRecording'])
  })

  test('then each pause is on the row with its reason and its end, which waits for no database', async () => {
    const waits: RetryWait[] = []
    const run = await lab.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: () => Promise.reject(failedAttempt('DownloadIncomplete')),
        recordRetryWait: async (wait) => {
          waits.push(wait)
          if (waits.length === 2) throw new Error('the database is away')
        },
      },
    )
    const began = await now()
    expect(await run.ended()).toBe('DownloadIncomplete')
    expect(waits[0]).toMatchObject({ sourceUrl: LINK, reason: { code: 'DownloadIncomplete', error: 'DownloadIncomplete happened' } })
    expect(Date.parse(waits[0]!.nextTryAt) - began).toBeGreaterThan(9000)
  })

  test('then one that can be resumed goes on where its part lies, and any other one anywhere; parts elsewhere are cleared', async () => {
    const queues: string[] = []
    const cleared: string[] = []
    const parts = [
      { queue: 'spool-lab', reachedBytes: 2 * 1024 ** 2, resumableBytes: 2 * 1024 ** 2 },
      { queue: 'spool-other', reachedBytes: 4 * 1024 ** 2, resumableBytes: 0 },
    ]
    const run = await lab.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () => {
          queues.push(Context.current().info.taskQueue)
          const part = parts.shift()
          if (part) throw failedAttempt('DownloadIncomplete', part)
          return { queue: 'spool-third', file: 'f', bytes: 10, sha256: 'a' }
        },
        discardRecording: async () => void cleared.push(Context.current().info.taskQueue),
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(queues).toEqual(['downloads', 'spool-lab-downloads', 'downloads'])
    expect(cleared.toSorted()).toEqual(['spool-lab-control', 'spool-other-control'])
  })

  test('then losing its spool file again and again ends it after a day, for recovery to begin anew', async () => {
    const began = await now()
    const run = await lab.start({ sourceUrls: [LINK] }, { validateRecording: () => Promise.reject(failedAttempt('SpoolFileLost')) })
    expect(await run.ended()).toBe('InternalError')
    expect(run.concludedAtMs - began).toBeGreaterThan(24 * HOUR)
  })

  test.each(['RecordingExpired', 'RecordingTooLarge', 'RecordingUrlRefused', 'RecordingHostNotAllowed'])(
    'then %s is final at once',
    async (code) => {
      const run = await lab.start({ sourceUrls: [LINK] }, { downloadRecording: () => Promise.reject(failedAttempt(code)) })
      expect(await run.ended()).toBe(code)
      expect(run.calls).toEqual(['downloadRecording', 'updateCall'])
    },
  )

  test('then a page instead of audio is downloaded three times', async () => {
    const run = await lab.start({ sourceUrls: [LINK] }, { validateRecording: async () => ({ kind: 'refused', reason: 'an HTML page' }) })
    expect(await run.ended()).toBe('RecordingInvalid')
    expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(3)
  })

  describe('then incomplete audio is downloaded again, and', () => {
    const INCOMPLETE: Verdict = { kind: 'incomplete', reason: 'cut off' }
    const KEPT = { ...ONE_BYTE, file: 'kept', broken: { reason: 'cut off' } }
    const validateRecording: Script['validateRecording'] = async ({ spooled }) => (spooled.broken ? DAMAGED : INCOMPLETE)

    test('what arrived goes to quarantine after the last attempt', async () => {
      const run = await lab.start({ sourceUrls: [LINK] }, { validateRecording, keepIncomplete: async () => ({ spooled: KEPT }) })
      expect(await run.ended()).toBe('RecordingDamaged')
      expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(3)
      expect(run.conclusions).toMatchObject([
        { outcome: { state: 'quarantined', error: 'cut off', key: expect.any(String), bytes: 1, audio: { extension: 'mp3' } } },
      ])
    })

    test('what arrived goes to quarantine where Exotel no longer has the recording, whose code stays', async () => {
      let downloads = 0
      const run = await lab.start(
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
    ])('it fails where %s', async (_why, script) => {
      const run = await lab.start({ sourceUrls: [LINK] }, { validateRecording, ...script })
      expect(await run.ended()).toBe('DownloadIncomplete')
      expect(run.conclusions).toMatchObject([{ outcome: { state: 'failed', code: 'DownloadIncomplete', error: 'cut off' } }])
    })

    test('the longest file of all workers goes to quarantine, also where the first attempts to keep it fail', async () => {
      let attempts = 0
      let downloads = 0
      const uploads: number[] = []
      const run = await lab.start(
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

    test('what is kept behind a page goes to quarantine', async () => {
      const left = [{ ...KEPT, file: 'page' }, KEPT]
      const run = await lab.start(
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

    test('nothing is kept where the recording is too large', async () => {
      let downloads = 0
      const downloadRecording: Script['downloadRecording'] = async () =>
        ++downloads < 2 ? ONE_BYTE : Promise.reject(failedAttempt('RecordingTooLarge', { queue: 'spool-lab', reachedBytes: 10 }))
      const run = await lab.start({ sourceUrls: [LINK] }, { downloadRecording, validateRecording })
      expect(await run.ended()).toBe('RecordingTooLarge')
      expect(run.calls).not.toContain('keepIncomplete')
    })
  })

  test('then a try that came 1 MB further begins the count anew: 12 breaks of a large file are no failure', async () => {
    let reachedBytes = 0
    const run = await lab.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () => {
          reachedBytes += 100 * 1024 ** 2
          if (reachedBytes <= 1200 * 1024 ** 2) throw failedAttempt('DownloadIncomplete', { reachedBytes })
          return { queue: 'spool-lab', file: 'f', bytes: reachedBytes, sha256: 'a' }
        },
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(13)
  })

  test('then Retry-After is honoured', async () => {
    const times: number[] = []
    const run = await lab.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () => (
          times.push(await now()),
          Promise.reject(failedAttempt('ExotelUnavailable', { retryAfterMs: 13 * MINUTE }))
        ),
      },
    )
    await run.ended()
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(13 * MINUTE)
  })

  test('then a refused recording is tried once more with a pre-signed link', async () => {
    let renewed = false
    const run = await lab.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () =>
          renewed ? { queue: 'spool-lab', file: 'f', bytes: 1, sha256: 'a' } : Promise.reject(failedAttempt('ExotelUnauthorized')),
        renewAccess: async () => ((renewed = true), { kind: 'renewed' }),
      },
    )
    expect(await run.ended()).toBeUndefined()
    const refused = await lab.start(
      { sourceUrls: [LINK], endedAt: iso((await now()) - HOUR) },
      { downloadRecording: () => Promise.reject(failedAttempt('ExotelUnauthorized')), renewAccess: async () => ({ kind: 'renewed' }) },
    )
    expect(await refused.ended()).toBe('ExotelUnauthorized')
    expect(refused.calls.filter((name) => name === 'downloadRecording')).toHaveLength(2)
  })
})

describe('When the worker with the file is lost', () => {
  test('then the recording is downloaded again after schedule-to-start, and no try is used up', async () => {
    let downloads = 0
    const run = await lab.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () => ({ queue: ++downloads <= 4 ? 'spool-of-the-dead' : 'spool-lab', file: 'f', bytes: 1, sha256: 'a' }),
      },
      { policy: { ...POLICY, spoolLostAfterMs: 1000 } },
    )
    await lab.untilConcluded(run)
    await lab.env.sleep('1 minute') // the lost worker's spool is not cleared within this
    expect(await run.ended()).toBeUndefined()
    expect(downloads).toBe(5)
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
  })

  test('then a file that is gone is downloaded again at once', async () => {
    let validations = 0
    const run = await lab.start(
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

describe('When somebody cancels', () => {
  test('then also a run that waits for a link writes its row first', async () => {
    const run = await lab.start({ status: 'completed' })
    await run.handle.cancel()
    expect(await run.ended()).toBe('Cancelled')
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'failed', code: 'Cancelled' } }])
  })
})

describe('When a call has several recordings', () => {
  test('then each is brought, once, and a missing one fails the run though another is stored', async () => {
    const [a, b] = [`${LINK}a`, `${LINK}b`]
    const run = await lab.start(
      { sourceUrls: [a, b, a] },
      {
        downloadRecording: async ({ sourceUrl }) =>
          sourceUrl === b ? Promise.reject(failedAttempt('RecordingExpired')) : { queue: 'spool-lab', file: 'f', bytes: 1, sha256: 'a' },
      },
    )
    await run.news({ sourceUrls: [a] })
    expect(await run.ended()).toBe('RecordingExpired')
    expect(run.conclusions.map(({ sourceUrl, outcome }) => `${sourceUrl} ${outcome.state}`).toSorted()).toEqual([
      `${a} stored`,
      `${b} failed`,
    ])
  })

  test('then quarantined audio fails the run with its reason', async () => {
    const run = await lab.start({ sourceUrls: [LINK] }, { validateRecording: async () => DAMAGED })
    expect(await run.ended()).toBe('RecordingDamaged')
    expect(run.conclusions).toMatchObject([
      { outcome: { state: 'quarantined', code: 'RecordingDamaged', error: 'cut off', key: expect.any(String) } },
    ])
  })
})

test('When an operator asks a run how it is, then it says what it waits for and what comes next', async () => {
  const run = await lab.start({ sourceUrls: [LINK] }, { downloadRecording: () => Promise.reject(failedAttempt('RecordingNotFound')) })
  const status = await eventually('the run to wait', async () => {
    const now = await run.status()
    return now.step === 'wait' && now
  })
  expect(status).toMatchObject({
    callSid: run.callSid,
    step: 'wait',
    since: expect.any(String),
    detail: expect.stringMatching(/RecordingNotFound happened; Exotel may need an hour to prepare the recording; next attempt at \d{4}-/),
  })
  // An activity that is cancelled at the moment of its end would stop the test server, see recording-model.ts.
  await eventually('the wait to be noted', () => run.hasCompleted('recordRetryWait'))
  await run.handle.cancel()
  await run.ended()
  expect(await run.status()).toMatchObject({ step: 'concluded', concluded: [{ sourceUrl: LINK, state: 'failed', code: 'Cancelled' }] })
})

test('When a run is cancelled after Exotel’s API named the recording, then that recording’s own row says so', async () => {
  const run = await lab.start(
    { status: 'completed' },
    {
      findRecording: async () => ({ kind: 'named', sourceUrl: LINK }),
      downloadRecording: () => Promise.reject(failedAttempt('RecordingNotFound')),
    },
  )
  await lab.env.sleep(5 * MINUTE)
  await run.handle.cancel()
  expect(await run.ended()).toBe('Cancelled')
  expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'failed', code: 'Cancelled' } }])
})

test('When Exotel does not say whether a refused recording can be had, then that is a try, not a verdict', async () => {
  const run = await lab.start(
    { sourceUrls: [LINK] },
    { downloadRecording: () => Promise.reject(failedAttempt('ExotelUnauthorized')), renewAccess: async () => ({ kind: 'unavailable' }) },
  )
  expect(await run.ended()).toBe('ExotelUnavailable')
  expect(run.calls.filter((name) => name === 'downloadRecording')).toHaveLength(3)
})

test('When asking Exotel fails in a way that nobody foresaw, then it is asked again, and a link that comes is brought', async () => {
  let asked = 0
  const run = await lab.start(
    { status: 'completed' },
    { findRecording: async () => (++asked < 3 ? Promise.reject(failedAttempt('InternalError')) : { kind: 'named', sourceUrl: LINK }) },
  )
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'stored' } }])
})

test('When Exotel refuses our key for hours, then a link that comes meanwhile is brought without its answer', async () => {
  const run = await lab.start(
    { status: 'completed' },
    { findRecording: () => Promise.reject(retriedLater('ExotelCredentialsRefused', 5 * MINUTE)) },
  )
  await lab.env.sleep('3h')
  expect(run.conclusions).toEqual([])
  await run.news({ sourceUrls: [LINK] })
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'stored' } }])
})

test('When a link is named again while its failure is being written, then it is tried again in the same run', async () => {
  let written = 0
  const run = await lab.start(
    { sourceUrls: [LINK] },
    {
      downloadRecording: async () =>
        written === 0 ? Promise.reject(failedAttempt('RecordingExpired')) : { queue: 'spool-lab', file: 'f', bytes: 1, sha256: 'a' },
      updateCall: async () => {
        written += 1
        if (written === 1) await run.news({ sourceUrls: [LINK] })
      },
    },
  )
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions.map(({ outcome }) => outcome.state)).toEqual(['failed', 'stored'])
})

test('When a call is concluded as not recorded, then with the status that this rests on', async () => {
  const run = await lab.start({ status: 'busy' })
  await run.ended()
  expect(run.conclusions).toEqual([{ callSid: run.callSid, outcome: { state: 'not_recorded', status: 'busy' } }])
})

test('When Exotel itself says that nobody took the call, then the search ends', async () => {
  const run = await lab.start({}, { findRecording: async () => ({ kind: 'none', status: 'busy', durationSeconds: 40 }) })
  expect(await run.ended()).toBeUndefined()
  expect(run.calls).toEqual(['findRecording', 'updateCall'])
  expect(run.conclusions).toMatchObject([{ outcome: { state: 'not_recorded', status: 'busy' } }])
})

describe('When Exotel says that nobody took the call, and an event says that somebody did', () => {
  test.each<[string, CallUpdate]>([
    ['by its status', { sourceUrls: [], status: 'completed' }],
    ['by its duration', { sourceUrls: [], status: 'busy', durationSeconds: 73 }],
  ])('then Exotel is asked again, and a recording that it names later is brought: %s', async (_how, news) => {
    let asked = 0
    const run = await lab.start(news, {
      findRecording: async () =>
        ++asked < 3 ? { kind: 'none', status: 'no-answer', durationSeconds: 73 } : { kind: 'named', sourceUrl: LINK },
    })
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'stored' } }])
  })

  test('then its recording is missing after the hour', async () => {
    const began = await now()
    const run = await lab.start(
      { status: 'completed', endedAt: iso(began) },
      { findRecording: async () => ({ kind: 'none', status: 'no-answer', durationSeconds: 73 }) },
    )
    expect(await run.ended()).toBe('RecordingMissing')
    expect(run.concludedAtMs - began).toBeGreaterThanOrEqual(60 * MINUTE)
  })
})

test('When a call that was over is answered later, then a recording may be in preparation for an hour after its last end', async () => {
  const began = await now()
  const run = await lab.start(
    { status: 'busy', sourceUrls: [LINK], endedAt: iso(began - 2 * HOUR) },
    {
      downloadRecording: async () => ((await now()) - began < 30 * MINUTE ? Promise.reject(failedAttempt('RecordingNotFound')) : ONE_BYTE),
    },
  )
  await run.news({ status: 'completed', endedAt: iso(began) })
  await run.news({ status: 'busy', endedAt: iso(began - 2 * HOUR) })
  expect(await run.ended()).toBeUndefined()
  expect(run.conclusions).toMatchObject([{ outcome: { state: 'stored' } }])
})

describe('When events about the end of a call disagree', () => {
  const none = async () => ({ kind: 'none', status: 'completed', durationSeconds: 3 }) as const

  test('then Exotel is asked until the call is over, and for an hour after that', async () => {
    const began = await now()
    const asked: number[] = []
    const run = await lab.start(
      { status: 'ringing', endReportedAt: iso(began) },
      {
        findRecording: async () => {
          const ms = await now()
          asked.push(ms)
          return ms - began < 35 * MINUTE ? { kind: 'none', status: 'in-progress' } : none()
        },
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(asked.map((ms) => Math.round((ms - began) / MINUTE))).toEqual([1, 11, 21, 31, 41, 46, 61, 91])
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'not_recorded' } }])
  })

  test('then a call that never ends for Exotel counts as missing after five hours', async () => {
    const began = await now()
    const run = await lab.start({ endReportedAt: iso(began) }, { findRecording: async () => ({ kind: 'none', status: 'ringing' }) })
    expect(await run.ended()).toBe('RecordingMissing')
    expect(run.concludedAtMs - began).toBeGreaterThanOrEqual(5 * HOUR)
    expect(run.calls.filter((name) => name === 'findRecording').length).toBeLessThan(35)
  })

  test('then the real end of a running call is followed by a question at once', async () => {
    const began = await now()
    const run = await lab.start(
      { endReportedAt: iso(began) },
      {
        findRecording: async () =>
          (await now()) - began < 4 * MINUTE ? { kind: 'none', status: 'in-progress' } : { kind: 'named', sourceUrl: LINK },
      },
    )
    await lab.env.sleep(4 * MINUTE)
    await run.news({ status: 'completed', endReportedAt: iso(began + 4 * MINUTE) })
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions).toMatchObject([{ sourceUrl: LINK, outcome: { state: 'stored' } }])
    expect(run.concludedAtMs - began).toBeLessThan(6 * MINUTE)
  })

  test('then an end that arrives while "not recorded" is written begins a new search, also of an unanswered call', async () => {
    let written = 0
    const run = await lab.start(
      { status: 'busy', endReportedAt: iso(await now()) },
      {
        updateCall: async () => {
          written += 1
          if (written === 1) await run.news({ status: 'busy', endReportedAt: iso(await now()) })
        },
        findRecording: async () => ({ kind: 'named', sourceUrl: LINK }),
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions.map(({ outcome }) => outcome.state)).toEqual(['not_recorded', 'stored'])
  })

  test('then an end that arrives while the last question is asked is followed by one more question', async () => {
    const began = await now()
    let asked = 0
    const run = await lab.start(
      { status: 'completed', endedAt: iso(began - 2 * HOUR) },
      {
        findRecording: async () => {
          asked += 1
          if (asked === 1) await run.news({ status: 'completed', endReportedAt: iso(await now()) })
          return asked === 1 ? none() : { kind: 'named', sourceUrl: LINK }
        },
      },
    )
    expect(await run.ended()).toBeUndefined()
    expect(run.conclusions.map(({ outcome }) => outcome.state)).toEqual(['not_recorded', 'stored'])
  })

  test('then the relay can have Exotel asked at once, whatever the status', async () => {
    const began = await now()
    const run = await lab.start({ status: 'busy', endReportedAt: iso(began), searchAgain: true }, { findRecording: none })
    expect(await run.ended()).toBeUndefined()
    expect(run.calls[0]).toBe('findRecording')
    expect(run.conclusions).toMatchObject([{ outcome: { state: 'not_recorded' } }])
  })

  test('then an older end that arrives later does not move the questions', async () => {
    const began = await now()
    const asked: number[] = []
    const run = await lab.start(
      { status: 'completed', endReportedAt: iso(began) },
      { findRecording: async () => (asked.push(await now()), { kind: 'named', sourceUrl: LINK }) },
    )
    await run.news({ status: 'completed', endReportedAt: iso(began - 30 * MINUTE) })
    expect(await run.ended()).toBeUndefined()
    expect(Math.round((asked[0]! - began) / MINUTE)).toBe(1)
  })

  test('then a second end adds no question where the next one is still to come', async () => {
    const began = await now()
    const run = await lab.start({ status: 'completed', endedAt: iso(began), endReportedAt: iso(began) }, { findRecording: none })
    await run.news({ status: 'completed', endReportedAt: iso(began + 1000) })
    expect(await run.ended()).toBeUndefined()
    expect(run.calls.filter((name) => name === 'findRecording')).toHaveLength(7)
    expect(run.conclusions).toHaveLength(1)
  })
})

test('When Exotel does not know the call, then it is asked for an hour, and the failure has a code of its own', async () => {
  const began = await now()
  const run = await lab.start({ status: 'completed', endedAt: iso(began) }, { findRecording: async () => ({ kind: 'unknown call' }) })
  expect(await run.ended()).toBe('CallUnknown')
  expect(run.concludedAtMs - began).toBeGreaterThanOrEqual(60 * MINUTE)
})
