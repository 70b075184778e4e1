// Ordinary recordings are small and available at once. One local activity transfers them within the workflow task that learned the link.
import { isCancellation } from '@temporalio/workflow'
import { refTo, type FastTransferResult, type LinkState } from '../contracts/recording.ts'
import { failureIn } from './failure.ts'
import { fastTransfer } from './recording-activities.ts'
import type { RecordingRun } from './recording-run.ts'

/** Synchronous, because a further await would change the order of commands in runs without the fast path. */
export function mayTakeFastPath({ call, isFastPathTaken }: RecordingRun, { retry, spools }: LinkState): boolean {
  const isOrdinary = retry.failures === 0 && retry.resumeOn === undefined && spools.length === 0
  return Boolean(call.policy.fastPathMaxBytes) && isOrdinary && !isFastPathTaken
}

/**
 * @param conclusionId identifies the outcome in case the durable path writes it again
 * @returns `unfinished` without a reached step if the recording must take the durable path
 * @throws the typed failure of a step, as the activities of the durable path do
 */
export async function takeFastPath(run: RecordingRun, { sourceUrl }: LinkState, conclusionId: string): Promise<FastTransferResult> {
  const { call, progress } = run
  run.isFastPathTaken = true
  progress.step('transfer', 'Downloading, validating and uploading in one step', sourceUrl)
  try {
    return await fastTransfer({ ...refTo(call), sourceUrl, maxBytes: call.policy.fastPathMaxBytes!, conclusionId })
  } catch (error) {
    // A timeout, a shutdown or a bug says nothing about the recording.
    if (isCancellation(error) || failureIn(error).code !== 'InternalError') throw error
    return { kind: 'unfinished', reason: 'the worker stopped it' }
  } finally {
    run.isFastPathTaken = false
  }
}
