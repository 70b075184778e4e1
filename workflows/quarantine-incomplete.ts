// When a recording fails, the longest incomplete file goes to quarantine. It may be all that is left of the recording.
import { isCancellation } from '@temporalio/workflow'
import { SPOOL_FILE_LOST, type FailureCode } from '../contracts/failures.ts'
import { factsOf, refTo, withRemark, type LinkState, type Outcome, type Spooled, type Verdict } from '../contracts/recording.ts'
import { failureIn } from './failure.ts'
import { keepIncomplete, upload, validate } from './recording-activities.ts'
import type { RecordingRun } from './recording-run.ts'

type Failed = Extract<Outcome, { state: 'failed' }>

interface DamagedFile {
  spooled: Spooled
  verdict: Extract<Verdict, { kind: 'damaged' }>
}

/** A person cancelled the run, or the recording is larger than the settings allow. `Cancelled` is also the code for an erased call. */
const KEEPS_NOTHING: ReadonlySet<FailureCode> = new Set(['Cancelled', 'RecordingTooLarge'])
const MINUTE_MS = 60_000
/** An unknown error may be a bug that a deploy fixes. */
const UNKNOWN_ERRORS_FOR_MS = 24 * 60 * MINUTE_MS

/** @returns undefined if no bytes have arrived, or if the workers that have them are lost */
export async function quarantineIncomplete(run: RecordingRun, link: LinkState, failed: Failed): Promise<Outcome | undefined> {
  if (KEEPS_NOTHING.has(failed.code) || link.spools.length === 0) return undefined
  const { waitScale } = run.call.policy
  const lastAttemptMs = Date.now() + UNKNOWN_ERRORS_FOR_MS * waitScale
  for (let pauseMs = MINUTE_MS; ; pauseMs = Math.min(2 * pauseMs, 60 * MINUTE_MS)) {
    run.progress.step('keep', 'Storing the incomplete recording in quarantine', link.sourceUrl)
    try {
      return await run.slots.hold(() => attemptQuarantine(run, link, failed))
    } catch (error) {
      if (isCancellation(error)) throw error
      const { code, message } = failureIn(error)
      if (code !== 'InternalError' || Date.now() >= lastAttemptMs) return undefined
      run.progress.step('wait', message, link.sourceUrl)
      await run.progress.waitUntil(new Date(Date.now() + pauseMs * waitScale).toISOString(), link.sourceUrl)
    }
  }
}

async function attemptQuarantine(run: RecordingRun, link: LinkState, failed: Failed): Promise<Outcome | undefined> {
  const file = await findIncomplete(run, link)
  if (!file) return undefined
  const { spooled, verdict } = file
  const { remark, ...stored } = await upload(run.call.policy, { ...refTo(run.call), sourceUrl: link.sourceUrl, spooled, verdict })
  const code = failed.code === 'DownloadIncomplete' ? 'RecordingDamaged' : failed.code
  const error = verdict.reason === failed.error ? failed.error : `${verdict.reason}; last error: ${failed.error}`
  return { state: 'quarantined', code, error, ...factsOf(stored, spooled, verdict), ...withRemark(remark) }
}

/**
 * Finds the longest file on all workers that may be audio. Validation deletes a file that is certainly not audio; then the worker may
 * have another file.
 */
async function findIncomplete({ call }: RecordingRun, { sourceUrl, spools }: LinkState): Promise<DamagedFile | undefined> {
  const recording = { ...refTo(call), sourceUrl }
  const files: Spooled[] = []
  const addFileOf = async (queue: string): Promise<void> => {
    const kept = await unlessLost(keepIncomplete(call.policy, recording, queue))
    if (kept?.spooled) files.push(kept.spooled)
  }
  for (const queue of spools) await addFileOf(queue)
  for (let checked = 0; files.length > 0 && checked < 2 * spools.length; checked += 1) {
    const spooled = files.toSorted((a, b) => b.bytes - a.bytes)[0]!
    files.splice(files.indexOf(spooled), 1)
    const verdict = await unlessLost(validate(call.policy, { ...recording, spooled }))
    if (verdict?.kind === 'damaged') return { spooled, verdict }
    await addFileOf(spooled.queue)
  }
  return undefined
}

/** @returns undefined if the file, or the worker that has it, is lost */
async function unlessLost<T>(result: Promise<T>): Promise<T | undefined> {
  return result.catch((error: unknown) => {
    if (failureIn(error).code === SPOOL_FILE_LOST) return undefined
    throw error
  })
}
