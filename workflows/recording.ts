// Transfers the recordings of one call from Exotel into our bucket. One run per call.
import { CancellationScope, condition, continueAsNew, defineSignal, isCancellation, setHandler, workflowInfo } from '@temporalio/workflow'
import { collectFacts } from './call-facts.ts'
import { CALL_UPDATED_SIGNAL } from '../contracts/names.ts'
import {
  refTo,
  type CallUpdate,
  type CarriedOver,
  type ConcludedRecording,
  type EndedCall,
  type LinkState,
  type Outcome,
} from '../contracts/recording.ts'
import { findRecording, type Search } from './find-recording.ts'
import { discard, update } from './recording-activities.ts'
import { openInbox, type Inbox } from './recording-inbox.ts'
import { trackProgress } from './recording-progress.ts'
import type { RecordingRun } from './recording-run.ts'
import { transferRecording, type Transferred } from './transfer-recording.ts'
import { openTransferSlots } from './transfer-slots.ts'

const callUpdated = defineSignal<[CallUpdate]>(CALL_UPDATED_SIGNAL)

/** @param carried state of the previous run, which continued as new because its history had become long */
export async function RecordingWorkflow(call: EndedCall, carried?: CarriedOver): Promise<ConcludedRecording[]> {
  const facts = collectFacts(call, carried?.facts)
  const inbox = openInbox(facts, carried)
  setHandler(callUpdated, ({ sourceUrls, recovery = false, searchAgain = false, ...newFacts }) => {
    facts.update(newFacts)
    if (newFacts.endReportedAt !== undefined) inbox.addEnd()
    if (searchAgain) inbox.searchAgain()
    for (const sourceUrl of sourceUrls) inbox.add(sourceUrl, { fromRecovery: recovery })
  })
  const progress = trackProgress(call, carried?.concluded)
  const root = CancellationScope.current()
  const isCancelled = (): boolean => root.consideredCancelled
  const run: RecordingRun = { call, facts, inbox, progress, slots: openTransferSlots(), isCancelled }

  do {
    await runWhileHistoryIsShort(run, () => (inbox.hasLinks() ? transferAll(run) : search(run)))
    if (!inbox.hasLinks()) await run.openRequest?.end() // its response may contain another link
    if (hasMore(inbox) && isHistoryLong(run) && !isCancelled()) {
      const state = { facts: facts.carryOver(), ...inbox.carryOver(), concluded: progress.conclusions() }
      await continueAsNew<typeof RecordingWorkflow>(call, state)
    }
  } while (hasMore(inbox)) // a signal may arrive during any await, so there is no await between this check and the end

  progress.throwIfMissing()
  return progress.conclusions()
}

function hasMore(inbox: Inbox): boolean {
  return inbox.hasLinks() || inbox.needsSearch()
}

/** Runs the work until it ends, and cancels it when the history is long. Links that are not concluded then are in the inbox again. */
async function runWhileHistoryIsShort(run: RecordingRun, work: () => Promise<void>): Promise<void> {
  const scope = new CancellationScope()
  const done = scope.run(work)
  // Do not call isHistoryLong again here: its answer may have changed, because another transfer may have taken a slot in this workflow task.
  const isLong = await CancellationScope.nonCancellable(() =>
    Promise.race([done.then(() => false), condition(() => isHistoryLong(run)).then(() => true)]),
  )
  if (isLong) scope.cancel()
  await done
}

/**
 * Temporal terminates a run whose history has 51,200 events or 50 MB. A transfer that holds a slot is interrupted only at four times our own
 * limit: it may have a complete file that waits for S3 and that Exotel no longer has.
 */
function isHistoryLong({ call, slots }: RecordingRun): boolean {
  const { continueAsNewSuggested, historyLength } = workflowInfo()
  const { continueAsNewAfterEvents } = call.policy
  const isLong = continueAsNewSuggested || historyLength >= continueAsNewAfterEvents
  return isLong && (slots.areFree() || historyLength >= 4 * continueAsNewAfterEvents)
}

/** Transfers all links concurrently, also links that arrive meanwhile. A late recording does not delay other recordings. */
async function transferAll(run: RecordingRun): Promise<void> {
  const scope = CancellationScope.current()
  const { inbox } = run
  const running = new Set<Promise<void>>()
  /** The scope is cancelled because the history is long, not because a person cancelled the run. */
  const isContinuingAsNew = (): boolean => scope.consideredCancelled && !run.isCancelled()
  const mayStart = (): boolean => inbox.hasLinks() && !isContinuingAsNew()
  do {
    if (mayStart()) for (const link of inbox.takeLinks()) start(link)
    await CancellationScope.nonCancellable(() => Promise.race([...running, condition(mayStart)]))
  } while (running.size > 0 || mayStart())

  function start(link: LinkState): void {
    const transfer = transferAndConclude(run, link).finally(() => running.delete(transfer))
    running.add(transfer)
  }
}

async function transferAndConclude(run: RecordingRun, link: LinkState): Promise<void> {
  const transferred = await settled(
    run,
    () => transferRecording(run, link),
    (outcome): Transferred => ({ outcome }),
  )
  if (transferred === undefined) return run.inbox.putBack(link)
  await conclude(run, transferred, link)
  run.inbox.conclude(link, transferred.outcome)
}

async function search(run: RecordingRun): Promise<void> {
  const found = await settled(
    run,
    () => findRecording(run),
    (outcome): Search => ({ state: 'asked', outcome }),
  )
  if (found === undefined) return // a link has arrived, or the next run continues the search
  run.inbox.concludeSearch(found.state)
  await conclude(run, { outcome: found.outcome })
}

/** Updates the row before the run can end. A cancelled run also writes its outcome. */
async function conclude({ call, progress }: RecordingRun, { outcome, id, isWritten }: Transferred, link?: LinkState): Promise<void> {
  const conclusion = { ...refTo(call), ...(id !== undefined && { id }), ...(link && { sourceUrl: link.sourceUrl }), outcome }
  await CancellationScope.nonCancellable(async () => {
    if (!isWritten) {
      progress.step('update', 'Writing the outcome to the database', link?.sourceUrl)
      await update(conclusion)
    }
    if (link) await discard(call, link)
  })
  progress.concluded(conclusion)
}

/**
 * Runs `work` and turns a cancellation by a person into an outcome. Any other error is a bug in workflow code: it fails the workflow task
 * until the bug is fixed.
 * @returns the result; undefined if there is nothing to conclude because the next run continues
 */
async function settled<T>(run: RecordingRun, work: () => Promise<T>, whenCancelled: (outcome: Outcome) => T): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (!isCancellation(error)) throw error
    return run.isCancelled() ? whenCancelled({ state: 'failed', code: 'Cancelled', error: 'The workflow was cancelled' }) : undefined
  }
}
