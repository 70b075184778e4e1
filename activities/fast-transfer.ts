// The fast path: all steps of one small recording in one local activity, without a dispatch through Temporal between them.
import { ApplicationFailure } from '@temporalio/common'
import { outcomeOf, type Conclusion, type FastTransferInput, type FastTransferResult } from '../contracts/recording.ts'
import { redact } from '../platform/redact.ts'
import { currentAttempt, withAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import type { createDownloadRecording } from './download-recording.ts'
import { RetryLater } from './failures.ts'
import type { createUpdateCall } from './update-call.ts'
import type { createUploadRecording } from './upload-recording.ts'
import type { createValidateRecording } from './validate-recording.ts'

type Needs = Pick<Dependencies, 'logger'> & { spool: Pick<Dependencies['spool'], 'queue'> }

interface Steps {
  downloadRecording: ReturnType<typeof createDownloadRecording>
  validateRecording: ReturnType<typeof createValidateRecording>
  uploadRecording: ReturnType<typeof createUploadRecording>
  updateCall: ReturnType<typeof createUpdateCall>
}

type Unfinished = Extract<FastTransferResult, { kind: 'unfinished' }>

/** A local activity holds a workflow task, so it ends long before the task's timeout of 10 s. */
const DEADLINE_MS = 4000
/** Fewer than the worker's slots for workflow tasks, of which it has 40: signals and other workflows never wait for transfers. */
const AT_ONCE = 16

/**
 * Downloads, validates, uploads and records one recording. Anything unusual stops the fast path: a large file, a slow or unavailable
 * service, a fault of the worker. Then the workflow continues with activities at that step.
 * @throws the typed failures of the steps, which describe the recording: the workflow handles them as those of the activities
 */
export function createFastTransfer({ spool, logger }: Needs, steps: Steps) {
  let running = 0
  return async (input: FastTransferInput): Promise<FastTransferResult> => {
    const result = await tryTransfer(input)
    if (result.kind === 'unfinished') logger.info({ reason: result.reason }, 'Recording continues on the durable path')
    return result
  }

  async function tryTransfer(input: FastTransferInput): Promise<FastTransferResult> {
    if (running >= AT_ONCE) return { kind: 'unfinished', reason: `${AT_ONCE} recordings are on the fast path of this worker` }
    running += 1
    const attempt = currentAttempt()
    const deadline = AbortSignal.timeout(DEADLINE_MS)
    const reached: Unfinished = { kind: 'unfinished', reason: '', queue: spool.queue }
    try {
      const limited = { ...attempt, signal: AbortSignal.any([attempt.signal, deadline]) }
      return await withAttempt(limited, () => transfer(steps, input, reached))
    } catch (error) {
      if (attempt.signal.aborted || isAboutRecording(error)) throw error
      return { ...reached, reason: deadline.aborted ? `not finished after ${DEADLINE_MS / 1000} s` : reasonOf(error) }
    } finally {
      running -= 1
    }
  }
}

/** Stores the result of each step in `reached`. */
async function transfer(steps: Steps, input: FastTransferInput, reached: Unfinished): Promise<FastTransferResult> {
  const { maxBytes, conclusionId, ...recording } = input
  const spooled = (reached.spooled = await steps.downloadRecording({ ...recording, maxBytes }))
  const verdict = (reached.verdict = await steps.validateRecording({ ...recording, spooled }))
  if (verdict.kind === 'refused' || verdict.kind === 'incomplete') return { ...reached, reason: verdict.reason }
  const stored = (reached.stored = await steps.uploadRecording({ ...recording, spooled, verdict }))
  const outcome = outcomeOf(stored, spooled, verdict)
  const conclusion: Conclusion = { ...recording, id: conclusionId, outcome }
  await steps.updateCall(conclusion)
  return { kind: 'concluded', outcome }
}

/** A recording that is too large for the fast path may be small enough for the durable one. */
function isAboutRecording(error: unknown): boolean {
  return error instanceof ApplicationFailure && error.type !== 'RecordingTooLarge'
}

/** Only our own errors have texts that are known to contain no secrets. */
function reasonOf(error: unknown): string {
  return error instanceof RetryLater || error instanceof ApplicationFailure ? redact(error.message) : ((error as Error).name ?? 'Error')
}
