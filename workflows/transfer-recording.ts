// The transfer of one recording: attempts until it is stored, quarantined or failed.
import { isCancellation } from '@temporalio/workflow'
import { failureIn, type Failure } from './failure.ts'
import { download, keepIncomplete, noteWait, refTo, renewAccess, upload, validate } from './recording-activities.ts'
import type { RecordingRun } from './recording-run.ts'
import { afterFailure, afterRenewal, preparingUntilMs, type RetryContext, type RetryStep } from './retry-state.ts'
import type { FailureCode } from './contracts/failures.ts'
import type {
  AudioFacts,
  LinkState,
  ObjectFacts,
  Outcome,
  RecordingPolicy,
  SourceRef,
  Spooled,
  StoredObject,
  Verdict,
} from './contracts/recording.ts'

interface Incomplete {
  spooled: Spooled
  verdict: Extract<Verdict, { verdict: 'damaged' }>
}

type Failed = Extract<Outcome, { state: 'failed' }>

/** A person ended the run, the call is erased, or the recording is longer than the settings allow. */
const KEEPS_NOTHING: ReadonlySet<FailureCode> = new Set(['Cancelled', 'RecordingTooLarge'])

type Attempt = { kind: 'concluded'; outcome: Outcome } | { kind: 'failed'; failure: Failure }

/** Changes the link's retry state, so that another run can continue where this one stopped. */
export async function transferRecording(run: RecordingRun, link: LinkState): Promise<Outcome> {
  for (;;) {
    await run.progress.waitUntil(link.retry.nextAttemptAt, link.sourceUrl)
    const attempt = await run.slots.hold(() => attemptTransfer(run, link))
    if (attempt.kind === 'concluded') return attempt.outcome
    const { failure } = attempt
    if (failure.spool !== undefined && failure.reachedBytes) remember(link, failure.spool)
    const { state, decision } = await decide(run, link, failure)
    link.retry = state
    if (decision.kind === 'conclude') {
      const failed = { state: 'failed', code: decision.code, error: decision.error } as const
      return (await run.slots.hold(() => quarantineIncomplete(run, link, failed))) ?? failed
    }
    if (decision.pauseMs > 0) await recordWait(run, link, failure, decision.why)
  }
}

async function attemptTransfer({ call, progress }: RecordingRun, link: LinkState): Promise<Attempt> {
  const { sourceUrl } = link
  const recording = { ...refTo(call), sourceUrl }
  try {
    progress.step('download', 'Downloading from Exotel', sourceUrl)
    const spooled = await download(call.policy, recording, link.retry.resumeOn)
    remember(link, spooled.queue)
    link.retry = { ...link.retry, resumeOn: spooled.queue } // should the next run go on here: that worker has the whole file

    progress.step('validate', `Validating ${spooled.bytes} bytes`, sourceUrl)
    const verdict = await validate(call.policy, { ...recording, spooled })
    if (verdict.verdict === 'refused') {
      return { kind: 'failed', failure: { code: 'RecordingInvalid', message: verdict.reason, isEmpty: spooled.bytes === 0 } }
    }
    if (verdict.verdict === 'incomplete') return { kind: 'failed', failure: { code: 'DownloadIncomplete', message: verdict.reason } }

    progress.step('upload', `Uploading ${spooled.bytes} bytes`, sourceUrl)
    const { remark, ...stored } = await upload(call.policy, { ...recording, spooled, verdict })
    forget(link, spooled.queue) // the upload removes the file
    const object = factsOf(stored, spooled, verdict)
    const outcome: Outcome =
      verdict.verdict === 'damaged'
        ? { state: 'quarantined', code: 'RecordingDamaged', error: verdict.reason, ...object, ...withRemark(remark) }
        : { state: 'stored', ...object, ...withRemark(verdict.remark, remark) }
    return { kind: 'concluded', outcome }
  } catch (error) {
    if (isCancellation(error)) throw error
    return { kind: 'failed', failure: failureIn(error) }
  }
}

/**
 * What has arrived of a recording that fails may be all that is left of it. Undefined: nothing has arrived, or the worker that holds it
 * is lost.
 */
async function quarantineIncomplete({ call, progress }: RecordingRun, link: LinkState, failed: Failed): Promise<Outcome | undefined> {
  if (KEEPS_NOTHING.has(failed.code)) return undefined
  const recording = { ...refTo(call), sourceUrl: link.sourceUrl }
  for (const queue of link.spools) {
    try {
      progress.step('keep', 'Keeping what has arrived', link.sourceUrl)
      const kept = await findIncomplete(call.policy, recording, queue)
      if (!kept) continue
      const { spooled, verdict } = kept
      const { remark, ...stored } = await upload(call.policy, { ...recording, spooled, verdict })
      const code = failed.code === 'DownloadIncomplete' ? 'RecordingDamaged' : failed.code
      const error = verdict.reason === failed.error ? failed.error : `${verdict.reason}; at last: ${failed.error}`
      return { state: 'quarantined', code, error, ...factsOf(stored, spooled, verdict), ...withRemark(remark) }
    } catch (error) {
      if (isCancellation(error)) throw error
    }
  }
  return undefined
}

/** A spool has two files of a recording at most; validation deletes one that turns out to be a page. */
async function findIncomplete(policy: RecordingPolicy, recording: SourceRef, queue: string): Promise<Incomplete | undefined> {
  for (let files = 0; files < 2; files += 1) {
    const { spooled } = await keepIncomplete(policy, recording, queue)
    if (!spooled) return undefined
    const verdict = await validate(policy, { ...recording, spooled })
    if (verdict.verdict === 'damaged') return { spooled, verdict }
  }
  return undefined
}

function factsOf(stored: StoredObject, { bytes, sha256 }: Spooled, { audio }: { audio: AudioFacts }): ObjectFacts {
  return { ...stored, bytes, sha256, audio }
}

function withRemark(...remarks: (string | undefined)[]): { remark?: string } {
  const remark = remarks.filter((each) => each !== undefined).join('; ')
  return remark ? { remark } : {}
}

async function decide({ call, facts }: RecordingRun, { sourceUrl, retry }: LinkState, failure: Failure): Promise<Decided> {
  const context = (): RetryContext => ({
    nowMs: Date.now(),
    isPreparing: Date.now() < preparingUntilMs(facts.endedAtMs(), call.arrivedAt, call.policy),
    policy: call.policy,
  })
  const step = afterFailure(retry, failure, context())
  if (isDecided(step)) return step
  const access = await renewAccess({ ...refTo(call), sourceUrl }).catch((error: unknown) => {
    if (isCancellation(error)) throw error
    return { access: 'unavailable' as const }
  })
  return afterRenewal(step.state, failure, access, context()) as Decided
}

type Decided = RetryStep & { decision: Exclude<RetryStep['decision'], { kind: 'renew link' }> }

function isDecided(step: RetryStep): step is Decided {
  return step.decision.kind !== 'renew link'
}

async function recordWait({ call, progress }: RecordingRun, { sourceUrl, retry }: LinkState, failure: Failure, why: string): Promise<void> {
  const nextTryAt = retry.nextAttemptAt!
  progress.step('wait', `${failure.message}; ${why}, at ${nextTryAt}`, sourceUrl)
  await noteWait({ ...refTo(call), sourceUrl, nextTryAt, reason: { code: failure.code, error: failure.message } })
}

function remember(link: LinkState, queue: string): void {
  if (!link.spools.includes(queue)) link.spools.push(queue)
}

function forget(link: LinkState, queue: string): void {
  link.spools = link.spools.filter((each) => each !== queue)
}
