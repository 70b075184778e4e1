// Ordinary recordings are small and available at once. One local activity transfers them within the workflow task that learned the link.
import { ActivityFailure, ApplicationFailure } from '@temporalio/common'
import { isCancellation } from '@temporalio/workflow'
import { isFailureCode, RATE_LIMITED, SPOOL_FILE_LOST } from '../contracts/failures.ts'
import { refTo, type FastTransferResult, type LinkState } from '../contracts/recording.ts'
import { fastTransfer } from './recording-activities.ts'
import type { RecordingRun } from './recording-run.ts'

/**
 * @param conclusionId identifies the outcome in case the durable path writes it again
 * @returns `unfinished` without a reached step if the recording must take the durable path
 * @throws the typed failure of a step, as the activities of the durable path do
 */
export async function tryFastPath(
  { call, progress }: RecordingRun,
  { sourceUrl, retry, spools }: LinkState,
  conclusionId: string,
): Promise<FastTransferResult> {
  const { fastPathMaxBytes: maxBytes } = call.policy
  const isOrdinary = retry.failures === 0 && retry.resumeOn === undefined && spools.length === 0
  if (!maxBytes || !isOrdinary) return { kind: 'unfinished', reason: 'not eligible' }
  progress.step('transfer', 'Downloading, validating and uploading in one step', sourceUrl)
  try {
    return await fastTransfer({ ...refTo(call), sourceUrl, maxBytes, conclusionId })
  } catch (error) {
    if (isCancellation(error) || isAboutRecording(error)) throw error
    return { kind: 'unfinished', reason: 'the worker stopped it' }
  }
}

/** A timeout, a shutdown or a bug says nothing about the recording. */
function isAboutRecording(error: unknown): boolean {
  if (!(error instanceof ActivityFailure) || !(error.cause instanceof ApplicationFailure)) return false
  const { type } = error.cause
  return type !== 'InternalError' && (isFailureCode(type) || type === SPOOL_FILE_LOST || type === RATE_LIMITED)
}
