// The transfer of one recording: attempts until it is stored, quarantined or failed.
import { isCancellation, uuid4 } from '@temporalio/workflow'
import { failureIn, type Failure } from './failure.ts'
import { mayTakeFastPath, takeFastPath } from './fast-path.ts'
import { quarantineIncomplete } from './quarantine-incomplete.ts'
import { download, recordRetryWait, renewLink, upload, validate } from './recording-activities.ts'
import type { RecordingRun } from './recording-run.ts'
import { afterFailure, afterRenewal, preparingUntilMs, type RetryContext, type RetryStep } from './retry-state.ts'
import { outcomeOf, refTo, type FastTransferResult, type LinkState, type Outcome } from '../contracts/recording.ts'

/** `isWritten`: the outcome is in the database already. */
export interface Transferred {
  outcome: Outcome
  /** Identifies the conclusion in the database. */
  id?: string
  isWritten?: true
}

type Attempt = ({ kind: 'concluded' } & Transferred) | { kind: 'failed'; failure: Failure }

const NOT_TAKEN: FastTransferResult = { kind: 'unfinished', reason: 'not eligible' }

/** Updates the link's retry state, so that the next run can continue after the last attempt of this one. */
export async function transferRecording(run: RecordingRun, link: LinkState): Promise<Transferred> {
  const id = uuid4()
  for (;;) {
    await run.progress.waitUntil(link.retry.nextAttemptAt, link.sourceUrl)
    const attempt = await run.slots.hold(() => attemptTransfer(run, link, id))
    if (attempt.kind === 'concluded') return attempt
    const { failure } = attempt
    if (failure.spool !== undefined) remember(link, failure.spool)
    const { state, decision } = await decide(run, link, failure)
    link.retry = state
    if (decision.kind === 'conclude') {
      const failed = { state: 'failed', code: decision.code, error: decision.error } as const
      return { outcome: (await quarantineIncomplete(run, link, failed)) ?? failed, id }
    }
    if (decision.pauseMs > 0) await recordWait(run, link, failure, decision.why)
  }
}

async function attemptTransfer(run: RecordingRun, link: LinkState, id: string): Promise<Attempt> {
  const { call, progress } = run
  const { sourceUrl } = link
  const recording = { ...refTo(call), sourceUrl }
  try {
    const fast = mayTakeFastPath(run, link) ? await takeFastPath(run, link, id) : NOT_TAKEN
    if (fast.kind === 'concluded') return { ...fast, id, isWritten: true }
    if (fast.queue !== undefined) remember(link, fast.queue)

    if (!fast.spooled) progress.step('download', 'Downloading from Exotel', sourceUrl)
    const spooled = fast.spooled ?? (await download(call.policy, recording, link.retry.resumeOn))
    remember(link, spooled.queue)
    link.retry = { ...link.retry, resumeOn: spooled.queue } // if the next run continues here: that worker has the complete file

    if (!fast.verdict) progress.step('validate', `Validating ${spooled.bytes} bytes`, sourceUrl)
    const verdict = fast.verdict ?? (await validate(call.policy, { ...recording, spooled }))
    if (verdict.kind === 'refused') {
      return { kind: 'failed', failure: { code: 'RecordingInvalid', message: verdict.reason, isEmpty: spooled.bytes === 0 } }
    }
    if (verdict.kind === 'incomplete') return { kind: 'failed', failure: { code: 'DownloadIncomplete', message: verdict.reason } }

    if (!fast.stored) progress.step('upload', `Uploading ${spooled.bytes} bytes`, sourceUrl)
    const stored = fast.stored ?? (await upload(call.policy, { ...recording, spooled, verdict }))
    forget(link, spooled.queue) // the upload deletes the file
    return { kind: 'concluded', outcome: outcomeOf(stored, spooled, verdict), id }
  } catch (error) {
    if (isCancellation(error)) throw error
    return { kind: 'failed', failure: failureIn(error) }
  }
}

async function decide({ call, facts }: RecordingRun, { sourceUrl, retry }: LinkState, failure: Failure): Promise<Decided> {
  const context = (): RetryContext => ({
    nowMs: Date.now(),
    isPreparing: Date.now() < preparingUntilMs(facts.endedAtMs(), call.arrivedAt, call.policy),
    policy: call.policy,
  })
  const step = afterFailure(retry, failure, context())
  if (isDecided(step)) return step
  const access = await renewLink({ ...refTo(call), sourceUrl }).catch((error: unknown) => {
    if (isCancellation(error)) throw error
    return { kind: 'unavailable' as const }
  })
  return afterRenewal(step.state, failure, access, context()) as Decided
}

type Decided = RetryStep & { decision: Exclude<RetryStep['decision'], { kind: 'renew link' }> }

function isDecided(step: RetryStep): step is Decided {
  return step.decision.kind !== 'renew link'
}

async function recordWait({ call, progress }: RecordingRun, { sourceUrl, retry }: LinkState, failure: Failure, why: string): Promise<void> {
  const nextTryAt = retry.nextAttemptAt!
  progress.step('wait', `${failure.message}; ${why}; next attempt at ${nextTryAt}`, sourceUrl)
  await recordRetryWait({ ...refTo(call), sourceUrl, nextTryAt, reason: { code: failure.code, error: failure.message } })
}

function remember(link: LinkState, queue: string): void {
  if (!link.spools.includes(queue)) link.spools.push(queue)
}

function forget(link: LinkState, queue: string): void {
  link.spools = link.spools.filter((each) => each !== queue)
}
