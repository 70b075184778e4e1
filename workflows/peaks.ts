// Computes waveform peaks outside of RecordingWorkflow, so that the path of a recording does not get slower.
import { isCancellation, proxyActivities, setCurrentDetails } from '@temporalio/workflow'
import type { Activities } from '../activities/create.ts'
import { PEAKS_QUEUE, RECORDINGS_QUEUE } from '../contracts/names.ts'
import type { PeaksOutcome, PeaksSummary } from '../contracts/peaks.ts'

const { findRecordingsWithoutPeaks } = proxyActivities<Activities>({
  taskQueue: RECORDINGS_QUEUE,
  startToCloseTimeout: '10m',
  heartbeatTimeout: '30s',
  scheduleToCloseTimeout: '1h', // the schedule's next run repeats it
  retry: { initialInterval: '5s', backoffCoefficient: 2, maximumInterval: '1m' },
})

const COMPUTATION = {
  taskQueue: PEAKS_QUEUE,
  heartbeatTimeout: '30s',
  retry: { initialInterval: '5s', backoffCoefficient: 2, maximumInterval: '1m' },
} as const
/** The largest recordings take this long if the store is slow. */
const background = proxyActivities<Activities>({ ...COMPUTATION, startToCloseTimeout: '2h', scheduleToCloseTimeout: '3h' })
const forListener = proxyActivities<Activities>({ ...COMPUTATION, startToCloseTimeout: '1h', scheduleToCloseTimeout: '1h' })

/** Bounds the history of one run: 20 recordings a round. The schedule's next run starts again with the newest recordings. */
const MAX_ROUNDS = 50
/** Single computations may fail. After more failures in one run, something else is wrong, and the schedule's next run tries again. */
const MAX_FAILURES = 3

/** Computes the peaks of stored recordings that have none, one after the other, the newest first. Its schedule starts it. */
export async function PeaksWorkflow(): Promise<PeaksSummary> {
  const found: PeaksSummary = { peaks: 0, none: 0, known: 0, gone: 0, failed: 0 }
  let before: string | undefined
  for (let rounds = 0; rounds < MAX_ROUNDS; rounds += 1) {
    const page = await findRecordingsWithoutPeaks({ ...(before !== undefined && { before }) })
    for (const recordingId of page.recordingIds) {
      found[await computeOne(recordingId, found)] += 1
      setCurrentDetails(JSON.stringify(found))
    }
    before = page.before
    if (before === undefined) break
  }
  return found
}

async function computeOne(recordingId: string, { failed }: PeaksSummary): Promise<keyof PeaksSummary> {
  try {
    return (await background.computePeaks({ recordingId, priority: 'background' })).kind
  } catch (error) {
    if (isCancellation(error) || failed + 1 >= MAX_FAILURES) throw error
    return 'failed'
  }
}

/** Computes the peaks of one recording for somebody who listens to it. */
export async function RecordingPeaksWorkflow({ recordingId }: { recordingId: string }): Promise<PeaksOutcome> {
  return forListener.computePeaks({ recordingId, priority: 'listener' })
}
