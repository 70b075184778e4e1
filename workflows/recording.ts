// The way of a call's recordings from Exotel into our bucket. One run a call; read from the top, it is the whole story.
import { CancellationScope, isCancellation } from '@temporalio/workflow'
import { findRecording } from './find-recording.ts'
import { discard, download, update, upload, validate } from './recording-activities.ts'
import { openInbox, type Inbox } from './recording-inbox.ts'
import { trackProgress, type Progress } from './recording-progress.ts'
import { openTries } from './recording-tries.ts'
import { failureIn, type Failure } from './failure.ts'
import type { Conclusion, EndedCall, Outcome, RecordingStatus } from './contracts/recording.ts'

export async function RecordingWorkflow(call: EndedCall): Promise<RecordingStatus['concluded']> {
  const inbox = openInbox(call) // links to recordings: those of every signal, each once
  const progress = trackProgress(call) // query `status`, current details, search attributes

  do {
    const next = inbox.take()
    const spools = new Set<string>() // queues of the workers whose disks hold something of this recording
    const conclusion = await conclusionOf(call, next.sourceUrl, () => bringNext(call, inbox, next.sourceUrl, spools, progress))
    await CancellationScope.nonCancellable(async () => {
      progress.step('update', 'Writing the outcome to the database')
      await update(conclusion) // the row first, then the end of the run
      if (conclusion.outcome.state === 'failed') await discard(spools, call.callSid, conclusion.sourceUrl)
    })
    inbox.concluded(conclusion)
    progress.concluded(conclusion)
  } while (inbox.hasMore()) // a signal may have come during any await; none stands between here and the end

  progress.throwIfMissing()
  return progress.status().concluded
}

/** How it ended, as a value: cancellation and what nobody foresaw included. */
async function conclusionOf(call: EndedCall, sourceUrl: string | undefined, bring: () => Promise<Conclusion>): Promise<Conclusion> {
  try {
    return await bring()
  } catch (error) {
    const outcome: Outcome = isCancellation(error)
      ? { state: 'failed', code: 'Cancelled', error: 'The workflow was cancelled' }
      : { state: 'failed', code: 'InternalError', error: failureIn(error).message }
    return { callSid: call.callSid, ...(sourceUrl !== undefined && { sourceUrl }), outcome }
  }
}

async function bringNext(
  call: EndedCall,
  inbox: Inbox,
  named: string | undefined,
  spools: Set<string>,
  progress: Progress,
): Promise<Conclusion> {
  const { callSid } = call
  const found = named === undefined ? await findRecording(call, inbox, progress) : { sourceUrl: named }
  if ('outcome' in found) return { callSid, outcome: found.outcome }
  const { sourceUrl } = found
  return { callSid, sourceUrl, outcome: await bringHome(call, inbox, sourceUrl, spools, progress) }
}

/** Download, validate, upload; whatever fails is counted, waited for, or final. */
async function bringHome(call: EndedCall, inbox: Inbox, sourceUrl: string, spools: Set<string>, progress: Progress): Promise<Outcome> {
  const tries = openTries(call, inbox, sourceUrl)
  for (;;) {
    const brought = await bringOnce(call, sourceUrl, spools, progress)
    if ('state' in brought) return brought
    if (brought.spool) spools.add(brought.spool)
    const next = await tries.after(brought)
    if ('conclude' in next) return { state: 'failed', code: next.conclude, error: brought.message }
    await progress.pause(next.pauseMs, `${brought.message}; ${next.why}`)
  }
}

async function bringOnce(call: EndedCall, sourceUrl: string, spools: Set<string>, progress: Progress): Promise<Outcome | Failure> {
  const { callSid } = call
  try {
    progress.step('download', 'Downloading from Exotel')
    const spooled = await download({ callSid, sourceUrl })
    spools.add(spooled.queue)

    progress.step('validate', `Validating ${spooled.bytes} bytes`)
    const verdict = await validate(call.policy, { callSid, spooled })
    if (verdict.verdict === 'refused') return { code: 'RecordingInvalid', message: verdict.reason }

    progress.step('upload', `Uploading ${spooled.bytes} bytes`)
    const object = {
      ...(await upload(call.policy, { callSid, spooled, verdict })),
      bytes: spooled.bytes,
      sha256: spooled.sha256,
      audio: verdict.audio,
    }
    if (verdict.verdict === 'damaged') return { state: 'quarantined', code: 'RecordingDamaged', error: verdict.reason, ...object }
    return { state: 'stored', ...object, ...(verdict.remark !== undefined && { remark: verdict.remark }) }
  } catch (error) {
    if (isCancellation(error)) throw error
    return failureIn(error)
  }
}
