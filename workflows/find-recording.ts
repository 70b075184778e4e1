// No event named a recording: wait for one that does, and ask Exotel's Call Details meanwhile.
import { CancellationScope, condition, isCancellation } from '@temporalio/workflow'
import type { CallFacts } from './call-facts.ts'
import { isRunning, isUnanswered as isUnansweredStatus } from '../contracts/call-status.ts'
import type { CallDetailsAnswer, EndedCall, Outcome, CallDetailsRequest, SearchState } from '../contracts/recording.ts'
import { failureIn } from './failure.ts'
import { callDetailsSchedule } from './call-details-schedule.ts'
import { requestCallDetails, refTo } from './recording-activities.ts'
import type { Inbox } from './recording-inbox.ts'
import type { RecordingRun } from './recording-run.ts'

/** `unanswered`: Exotel was not asked. */
export type Search = { state: Exclude<SearchState, 'never'>; outcome: Outcome }

/** @returns undefined once the inbox has a link */
export async function findRecording(run: RecordingRun): Promise<Search | undefined> {
  const { call, facts, inbox, progress } = run
  const times = callDetailsSchedule(run)
  const isUnanswered = (): boolean => facts.unanswered() && !inbox.mustAsk()
  let answer: CallDetailsAnswer | undefined

  for (let atMs = times.next(); atMs !== undefined; atMs = times.next()) {
    const at = atMs
    const changes = (): boolean => inbox.hasLinks() || isUnanswered() || times.next() !== at
    await progress.waitFor(changes, at, answer ? `Exotel answered: ${answer.kind}` : 'No event has named a recording yet')
    if (inbox.hasLinks()) return undefined
    if (isUnanswered()) return { state: 'unanswered', outcome: notRecorded(facts) }
    if (Date.now() < at) continue // an event has told another end of the call

    progress.step('find', 'Asking Exotel whether the call has a recording')
    inbox.noteRequest()
    answer = await askUnlessLinkArrives(run, { ...refTo(call), ...times.ask() })
    if (answer) addNamed(inbox, answer)
    if (inbox.hasLinks()) return undefined
    if (answer?.kind === 'erased') return { state: 'asked', outcome: { state: 'not_recorded' } }
    if (answer?.kind !== 'none') continue
    const { status } = answer
    if (isUnansweredStatus(status) && !facts.answered()) return { state: 'asked', outcome: { state: 'not_recorded', status } }
    if (isRunning(status)) times.noteRunning()
  }
  return { state: 'asked', outcome: concludeWithout(call, facts, answer) }
}

/** Undefined once a link has arrived meanwhile: asking may take hours while Exotel refuses our credentials. */
async function askUnlessLinkArrives(run: RecordingRun, question: CallDetailsRequest): Promise<CallDetailsAnswer | undefined> {
  const { inbox } = run
  const scope = new CancellationScope()
  const asked = scope.run(() => requestCallDetails(question)).catch(asUnavailable)
  await Promise.race([asked, condition(inbox.hasLinks)])
  if (!inbox.hasLinks()) return asked
  const answered = asked.then((answer) => addNamed(inbox, answer), ignoreCancellation)
  run.question = {
    end() {
      scope.cancel()
      return answered
    },
  }
  return undefined
}

/** The activity has made the row of a recording that it names: this run has to transfer it. */
function addNamed(inbox: Inbox, answer: CallDetailsAnswer): void {
  if (answer.kind === 'named') inbox.add(answer.sourceUrl)
}

function ignoreCancellation(error: unknown): void {
  if (!isCancellation(error)) throw error
}

/** An answer that cannot be read is none. */
function asUnavailable(error: unknown): CallDetailsAnswer {
  if (isCancellation(error)) throw error
  return { kind: 'unavailable', reason: failureIn(error).message }
}

/** Only Exotel's own answer makes a call "not recorded"; a long call without a recording lacks one. */
function concludeWithout({ policy }: EndedCall, facts: CallFacts, answer: CallDetailsAnswer | undefined): Outcome {
  if (answer === undefined || answer.kind === 'unavailable') {
    return { state: 'failed', code: 'ExotelUnavailable', error: answer?.reason ?? 'Exotel was not asked' }
  }
  if (answer.kind === 'unknown call') return { state: 'failed', code: 'CallUnknown', error: 'Exotel does not know the call' }
  if (answer.kind === 'none' && isRunning(answer.status)) {
    return { state: 'failed', code: 'RecordingMissing', error: `Exotel still says "${answer.status}" of the call` }
  }
  const seconds = facts.durationSeconds() ?? (answer.kind === 'none' ? answer.durationSeconds : undefined)
  if (seconds !== undefined && seconds >= policy.expectedFromSeconds) {
    return { state: 'failed', code: 'RecordingMissing', error: `The call lasted ${seconds} s, and Exotel has no recording of it` }
  }
  return notRecorded(facts)
}

/** With the status that this rests on: where the call turns out to be answered later, the search begins again. */
function notRecorded(facts: CallFacts): Outcome {
  const status = facts.status()
  return { state: 'not_recorded', ...(status !== undefined && { status }) }
}
