// The fast path: all steps of one small recording in one local activity, without a dispatch through Temporal between them.
import { ApplicationFailure } from '@temporalio/common'
import { SPOOL_FILE_LOST } from '../contracts/failures.ts'
import { outcomeOf, type Conclusion, type FastTransferInput, type FastTransferResult } from '../contracts/recording.ts'
import { DeadlineExceeded, startDeadline, withDeadline } from '../platform/deadline.ts'
import { redact } from '../platform/redact.ts'
import { currentAttempt, withAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import type { createDownloadRecording } from './download-recording.ts'
import { RetryLater } from './failures.ts'
import { FAST_PLACES, openFastPlaces } from './fast-places.ts'
import type { createFindOutcome } from './find-outcome.ts'
import type { createUpdateCall } from './update-call.ts'
import type { createUploadRecording } from './upload-recording.ts'
import type { createValidateRecording } from './validate-recording.ts'

type Needs = Pick<Dependencies, 'logger'> & {
  spool: Pick<Dependencies['spool'], 'queue' | 'fileFor' | 'holds'>
  breaker: Pick<Dependencies['breaker'], 'state'>
}

interface Steps {
  downloadRecording: ReturnType<typeof createDownloadRecording>
  validateRecording: ReturnType<typeof createValidateRecording>
  uploadRecording: ReturnType<typeof createUploadRecording>
  updateCall: ReturnType<typeof createUpdateCall>
  findOutcome: ReturnType<typeof createFindOutcome>
}

/** The results of the steps that are done. */
type Reached = Pick<Extract<FastTransferResult, { kind: 'unfinished' }>, 'spooled' | 'verdict' | 'stored'>

/** A local activity holds a workflow task, so it ends long before the task's timeout of 10 s. */
const DEADLINE_MS = 4000
/** Deadline and look-up together are shorter than the local activity's timeout of 6 s. */
const LOOK_UP_MS = 1000

/**
 * Downloads, validates, uploads and records one recording. Anything unusual stops the fast path: a large file, a slow or unavailable
 * service, a fault of the worker. Then the workflow continues with activities at that step.
 * @throws the typed failures of the steps, which describe the recording: the workflow handles them as those of the activities
 */
export function createFastTransfer({ spool, breaker, logger }: Needs, steps: Steps) {
  const places = openFastPlaces()
  return async (input: FastTransferInput): Promise<FastTransferResult> => {
    try {
      const result = await tryTransfer(input)
      if (result.kind === 'concluded') return result
      const before = await concludedBefore(input)
      if (!before) logger.info({ reason: result.reason }, 'Recording continues on the durable path')
      return before ?? result
    } catch (error) {
      const before = currentAttempt().signal.aborted ? undefined : await concludedBefore(input)
      if (before) return before
      throw error
    }
  }

  async function tryTransfer(input: FastTransferInput): Promise<FastTransferResult> {
    if (breaker.state() !== 'closed') return { kind: 'unfinished', reason: 'S3 is unavailable' }
    if (!(await places.take())) return { kind: 'unfinished', reason: `${FAST_PLACES} recordings are on the fast path of this worker` }
    const attempt = currentAttempt()
    const deadline = startDeadline(DEADLINE_MS)
    const limited = { ...attempt, signal: AbortSignal.any([attempt.signal, deadline.signal]) }
    const reached: Reached = {}
    // A statement or a probe of the store does not stop at the deadline. The place is free when it has ended.
    const work = withAttempt(limited, () => transfer(steps, input, reached)).finally(places.free)
    try {
      return await Promise.race([work, whenAborted(deadline.signal)])
    } catch (error) {
      if (attempt.signal.aborted || isAboutRecording(error)) throw error
      const isLost = error instanceof ApplicationFailure && error.type === SPOOL_FILE_LOST
      const queue = (await spool.holds(spool.fileFor(input.callSid, input.sourceUrl))) && { queue: spool.queue }
      return { kind: 'unfinished', ...(!isLost && reached), ...queue, reason: reasonOf(error) }
    } finally {
      deadline.end()
    }
  }

  /** If a worker dies after it has written the rows, Temporal repeats its workflow task. By then Exotel may no longer have the recording. */
  async function concludedBefore(input: FastTransferInput): Promise<FastTransferResult | undefined> {
    const outcome = await withDeadline(steps.findOutcome(input), LOOK_UP_MS).catch(() => undefined) // PostgreSQL is unavailable
    return outcome && { kind: 'concluded', outcome }
  }
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
}

/** Stores the result of each step in `reached`. */
async function transfer(steps: Steps, input: FastTransferInput, reached: Reached): Promise<FastTransferResult> {
  const { maxBytes, conclusionId, ...recording } = input
  const spooled = (reached.spooled = await steps.downloadRecording({ ...recording, maxBytes }))
  const verdict = (reached.verdict = await steps.validateRecording({ ...recording, spooled }))
  if (verdict.kind === 'refused' || verdict.kind === 'incomplete')
    return { kind: 'unfinished', ...reached, queue: spooled.queue, reason: verdict.reason }
  const stored = (reached.stored = await steps.uploadRecording({ ...recording, spooled, verdict }))
  const outcome = outcomeOf(stored, spooled, verdict)
  const conclusion: Conclusion = { ...recording, id: conclusionId, outcome }
  await steps.updateCall(conclusion)
  return { kind: 'concluded', outcome }
}

/** A recording that is too large for the fast path may be small enough for the durable one. A lost file is downloaded again. */
function isAboutRecording(error: unknown): boolean {
  return error instanceof ApplicationFailure && error.type !== 'RecordingTooLarge' && error.type !== SPOOL_FILE_LOST
}

/** Only our own errors have texts that are known to contain no secrets. */
function reasonOf(error: unknown): string {
  const isOurs = error instanceof RetryLater || error instanceof ApplicationFailure || error instanceof DeadlineExceeded
  return isOurs ? redact(error.message) : ((error as Error).name ?? 'Error')
}
