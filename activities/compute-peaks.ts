// Computes waveform peaks of recordings, outside of the workflow that stores them.
import { findPeaksSubject, recordingsWithoutPeaks, recordPeaks, type PeaksSubject } from '../calls/recording-peaks.ts'
import type { PeaksOutcome, PeaksPriority, PeaksRequest, PeaksResult, WithoutPeaksPage, WithoutPeaksRequest } from '../contracts/peaks.ts'
import { counter } from '../platform/metrics.ts'
import { computePeaks } from '../recordings/peaks/compute-peaks.ts'
import { classifyStoreError, isReadRefused } from '../recordings/store-errors.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { MISCONFIGURED_ALARM, storeMisconfigured, storeUnavailable } from './store-failure.ts'

type Needs = Pick<Dependencies, 'database' | 'bucketObjects' | 'store' | 'alarms' | 'logger'>

/** How many recordings the workflow gets at once. */
const BATCH = 20
/** One call of the activity reads at most this many pages of a thousand rows. If no recording in them is due, the workflow calls it again. */
const MAX_PAGES = 100
/** How much of the worker's time a computation takes: transfers of recordings need the same event loop. */
const SHARES: Record<PeaksPriority, number> = { background: 0.25, listener: 0.75 }

const computed = counter('recording_peaks_total', 'Recordings whose waveform peaks were requested, by result', ['result'])

export function createPeaksActivities(deps: Needs) {
  const { database, bucketObjects, alarms, logger } = deps
  return {
    /** Finds stored recordings without peaks, the newest first. */
    async findRecordingsWithoutPeaks({ before }: WithoutPeaksRequest): Promise<WithoutPeaksPage> {
      const { signal, reportProgress } = currentAttempt()
      let next = before
      for (let pages = 0; pages < MAX_PAGES; pages += 1) {
        signal.throwIfAborted()
        const page = await recordingsWithoutPeaks(database, bucketObjects.bucket, next)
        reportProgress(pages)
        if (page.recordingIds.length > BATCH) {
          const recordingIds = page.recordingIds.slice(0, BATCH)
          return { recordingIds, before: recordingIds.at(-1)! }
        }
        if (page.recordingIds.length > 0 || page.before === undefined) return page
        next = page.before
      }
      return { recordingIds: [], ...(next !== undefined && { before: next }) }
    },

    /** Computes and stores the peaks of one recording, or the reason why it has none. Does nothing if they are known. */
    async computePeaks({ recordingId, priority }: PeaksRequest): Promise<PeaksOutcome> {
      const subject = await findPeaksSubject(database, { recordingId, priority, bucket: bucketObjects.bucket })
      const outcome = subject.kind === 'due' ? await computeFor(deps, subject, SHARES[priority]) : { kind: subject.kind }
      computed.inc({ result: outcome.kind })
      return outcome
    },
  }

  async function computeFor(needs: Needs, subject: PeaksSubject, share: number): Promise<PeaksOutcome> {
    const result = await peaksOfObject(needs, subject, share)
    alarms.clear(MISCONFIGURED_ALARM)
    if (!(await recordPeaks(database, subject, result))) return { kind: 'gone' }
    const { callSid, id: recordingId, key } = subject
    if (result.kind === 'none') logger.warn({ callSid, recordingId, key, reason: result.reason }, 'Recording has no waveform peaks')
    return { kind: result.kind }
  }
}

/** Reads the object. A fault of this object is a result; a fault of the store is retried later. */
async function peaksOfObject({ bucketObjects, store, alarms }: Needs, { key, bytes }: PeaksSubject, share: number): Promise<PeaksResult> {
  const { signal, reportProgress } = currentAttempt()
  try {
    const actual = await bucketObjects.bytesOf(key, signal)
    if (actual === undefined) return notNow('The object is missing')
    if (actual !== bytes) return notNow(`The object has ${actual} bytes instead of ${bytes}`)
    return await computePeaks(bucketObjects.chunks(key, signal), bytes, { signal, share, onProgress: reportProgress })
  } catch (error) {
    signal.throwIfAborted()
    if (isReadRefused(error) && (await store.acceptsOtherObjects(signal))) return notNow('The store refuses to return the object')
    const { of, reason } = classifyStoreError(error)
    throw of === 'setup' || of === 'refusal' ? storeMisconfigured(alarms, reason) : storeUnavailable(reason)
  }
}

function notNow(reason: string): PeaksResult {
  return { kind: 'none', reason, isTemporary: true }
}
