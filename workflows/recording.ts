// The way of a call's recordings from Exotel into our bucket. One run a call; read from the top, it is the whole story.
import { CancellationScope, isCancellation } from '@temporalio/workflow'
import { findRecording } from './find-recording.ts'
import { discard, download, noteWait, refTo, update, upload, validate } from './recording-activities.ts'
import { openInbox, type Inbox } from './recording-inbox.ts'
import { trackProgress, type Progress } from './recording-progress.ts'
import { openTries } from './recording-tries.ts'
import { failureIn, type Failure } from './failure.ts'
import type { EndedCall, Outcome, RecordingStatus } from './contracts/recording.ts'

/** A part this long is worth waiting for the worker that has it; less is fetched anew by whoever is free. */
const WORTH_RESUMING_BYTES = 1024 ** 2

export async function RecordingWorkflow(call: EndedCall): Promise<RecordingStatus['concluded']> {
  const inbox = openInbox(call) // links to recordings: those of every signal, each once
  const progress = trackProgress(call) // query `status`, current details, search attributes

  do {
    const spools = new Set<string>() // queues of the workers whose disks hold something of this recording
    const next = await settled(() => nextRecording(call, inbox, progress))
    const outcome = 'state' in next ? next : await settled(() => bringHome(call, inbox, next.sourceUrl, spools, progress))
    const conclusion = { ...refTo(call), ...('sourceUrl' in next && { sourceUrl: next.sourceUrl }), outcome }
    await CancellationScope.nonCancellable(async () => {
      progress.step('update', 'Writing the outcome to the database')
      await update(conclusion) // the row first, then the end of the run
      await discard(spools, conclusion) // what lies where no upload used it up
    })
    inbox.concluded(conclusion)
    progress.concluded(conclusion)
  } while (inbox.hasMore()) // a signal may have come during any await; none stands between here and the end

  progress.throwIfMissing()
  return progress.status().concluded
}

/** Its result, or a cancellation as an outcome like others. A mistake in this very code stops the run until it is mended. */
async function settled<T>(work: () => Promise<T>): Promise<T | Outcome> {
  try {
    return await work()
  } catch (error) {
    if (!isCancellation(error)) throw error
    return { state: 'failed', code: 'Cancelled', error: 'The workflow was cancelled' }
  }
}

async function nextRecording(call: EndedCall, inbox: Inbox, progress: Progress): Promise<{ sourceUrl: string } | Outcome> {
  const { sourceUrl } = inbox.take()
  return sourceUrl === undefined ? findRecording(call, inbox, progress) : { sourceUrl }
}

/** Download, validate, upload; whatever fails is counted, waited for, or final. */
async function bringHome(call: EndedCall, inbox: Inbox, sourceUrl: string, spools: Set<string>, progress: Progress): Promise<Outcome> {
  const tries = openTries(call, inbox, sourceUrl)
  let resumeOn: string | undefined
  for (;;) {
    const brought = await bringOnce(call, sourceUrl, { spools, resumeOn }, progress)
    if ('state' in brought) return brought
    if (brought.spool) spools.add(brought.spool)
    resumeOn = (brought.reachedBytes ?? 0) >= WORTH_RESUMING_BYTES ? brought.spool : undefined
    const next = await tries.after(brought)
    if ('conclude' in next) return { state: 'failed', code: next.conclude, error: next.error }
    if (next.pauseMs === 0) continue
    const nextTryAt = new Date(Date.now() + next.pauseMs).toISOString()
    await noteWait({ ...refTo(call), sourceUrl, nextTryAt, reason: { code: brought.code, error: brought.message } })
    await progress.pause(next.pauseMs, `${brought.message}; ${next.why}`)
  }
}

async function bringOnce(
  call: EndedCall,
  sourceUrl: string,
  { spools, resumeOn }: { spools: Set<string>; resumeOn: string | undefined },
  progress: Progress,
): Promise<Outcome | Failure> {
  const recording = { ...refTo(call), sourceUrl }
  try {
    progress.step('download', 'Downloading from Exotel')
    const spooled = await download(call.policy, recording, resumeOn)
    spools.add(spooled.queue)

    progress.step('validate', `Validating ${spooled.bytes} bytes`)
    const verdict = await validate(call.policy, { ...recording, spooled })
    if (verdict.verdict === 'refused') return { code: 'RecordingInvalid', message: verdict.reason }

    progress.step('upload', `Uploading ${spooled.bytes} bytes`)
    const object = {
      ...(await upload(call.policy, { ...recording, spooled, verdict })),
      bytes: spooled.bytes,
      sha256: spooled.sha256,
      audio: verdict.audio,
    }
    spools.delete(spooled.queue) // the upload has used its file up
    if (verdict.verdict === 'damaged') return { state: 'quarantined', code: 'RecordingDamaged', error: verdict.reason, ...object }
    return { state: 'stored', ...object, ...(verdict.remark !== undefined && { remark: verdict.remark }) }
  } catch (error) {
    if (isCancellation(error)) throw error
    return failureIn(error)
  }
}
