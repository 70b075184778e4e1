// Ordinary recordings are small and available at once. One local activity transfers them within the workflow task that learned the link.
import { isCancellation } from '@temporalio/workflow'
import { refTo, type FastTransferResult, type LinkState } from '../contracts/recording.ts'
import { failureIn } from './failure.ts'
import { fastTransfer } from './recording-activities.ts'
import type { RecordingRun } from './recording-run.ts'

/**
 * @param conclusionId identifies the outcome in case the durable path writes it again
 * @returns `unfinished` without a reached step if the recording must take the durable path
 * @throws the typed failure of a step, as the activities of the durable path do
 */
export async function tryFastPath(
  run: RecordingRun,
  { sourceUrl, retry, spools }: LinkState,
  conclusionId: string,
): Promise<FastTransferResult> {
  const { call, progress } = run
  const { fastPathMaxBytes: maxBytes } = call.policy
  const isOrdinary = retry.failures === 0 && retry.resumeOn === undefined && spools.length === 0
  if (!maxBytes || !isOrdinary || run.isFastPathTaken) return { kind: 'unfinished', reason: 'not eligible' }
  run.isFastPathTaken = true
  progress.step('transfer', 'Downloading, validating and uploading in one step', sourceUrl)
  try {
    return await fastTransfer({ ...refTo(call), sourceUrl, maxBytes, conclusionId })
  } catch (error) {
    // A timeout, a shutdown or a bug says nothing about the recording.
    if (isCancellation(error) || failureIn(error).code !== 'InternalError') throw error
    return { kind: 'unfinished', reason: 'the worker stopped it' }
  } finally {
    run.isFastPathTaken = false
  }
}
