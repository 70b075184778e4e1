// Searches for a recording when no event has contained a link: waits for such an event, and meanwhile requests Exotel's Call Details.
import { CancellationScope, condition, isCancellation } from '@temporalio/workflow'
import type { CallFacts } from './call-facts.ts'
import { isRunning, isUnanswered as isUnansweredStatus } from '../contracts/call-status.ts'
import {
  refTo,
  type CallDetailsAnswer,
  type CallDetailsRequest,
  type EndedCall,
  type Outcome,
  type SearchState,
} from '../contracts/recording.ts'
import { failureIn } from './failure.ts'
import { callDetailsTimes } from './call-details-times.ts'
import { requestCallDetails } from './recording-activities.ts'
import type { Inbox } from './recording-inbox.ts'
import type { RecordingRun } from './recording-run.ts'

/** `unanswered`: no request was sent to Exotel, because nobody answered the call. */
export type Search = { state: Exclude<SearchState, 'never'>; outcome: Outcome }

/** @returns undefined when the inbox has a link */
export async function findRecording(run: RecordingRun): Promise<Search | undefined> {
  const { call, facts, inbox, progress } = run
  const times = callDetailsTimes(run)
  const isUnanswered = (): boolean => facts.unanswered() && !inbox.mustRequest()
  let answer: CallDetailsAnswer | undefined

  for (let atMs = times.next(); atMs !== undefined; atMs = times.next()) {
    const at = atMs
    const changes = (): boolean => inbox.hasLinks() || isUnanswered() || times.next() !== at
    await progress.waitFor(changes, at, answer ? `Exotel answered: ${answer.kind}` : 'No event has contained a link to a recording yet')
    if (inbox.hasLinks()) return undefined
    if (isUnanswered()) return { state: 'unanswered', outcome: notRecorded(facts) }
    if (Date.now() < at) continue // an event has changed the end of the call

    progress.step('find', 'Requesting Call Details from Exotel')
    inbox.noteRequest()
    answer = await requestUnlessLinkArrives(run, { ...refTo(call), ...times.startRequest() })
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

/**
 * Does not wait for the response when a link has arrived: the request may take hours while Exotel refuses our credentials.
 * @returns undefined if a link has arrived
 */
async function requestUnlessLinkArrives(run: RecordingRun, request: CallDetailsRequest): Promise<CallDetailsAnswer | undefined> {
  const { inbox } = run
  const scope = new CancellationScope()
  const response = scope.run(() => requestCallDetails(request)).catch(asUnavailable)
  await Promise.race([response, condition(inbox.hasLinks)])
  if (!inbox.hasLinks()) return response
  const responseHandled = response.then((answer) => addNamed(inbox, answer), ignoreCancellation)
  run.openRequest = {
    end() {
      scope.cancel()
      return responseHandled
    },
  }
  return undefined
}

/** The activity has inserted a row for the recording in its result, so this run has to transfer that recording. */
function addNamed(inbox: Inbox, answer: CallDetailsAnswer): void {
  if (answer.kind === 'named') inbox.add(answer.sourceUrl)
}

function ignoreCancellation(error: unknown): void {
  if (!isCancellation(error)) throw error
}

/** A response that cannot be read counts as no response. */
function asUnavailable(error: unknown): CallDetailsAnswer {
  if (isCancellation(error)) throw error
  return { kind: 'unavailable', reason: failureIn(error).message }
}

/** Only a response from Exotel makes a call "not recorded". A long call without a recording fails, because it should have one. */
function concludeWithout({ policy }: EndedCall, facts: CallFacts, answer: CallDetailsAnswer | undefined): Outcome {
  if (answer === undefined || answer.kind === 'unavailable') {
    const code = answer?.code ?? 'ExotelUnavailable'
    return { state: 'failed', code, error: answer?.reason ?? 'No Call Details were requested' }
  }
  if (answer.kind === 'unknown call') return { state: 'failed', code: 'CallUnknown', error: 'Exotel does not know the call' }
  if (answer.kind === 'none' && isRunning(answer.status)) {
    return { state: 'failed', code: 'RecordingMissing', error: `Exotel still reports the status "${answer.status}" for the call` }
  }
  const seconds = facts.durationSeconds() ?? (answer.kind === 'none' ? answer.durationSeconds : undefined)
  if (seconds !== undefined && seconds >= policy.expectedFromSeconds) {
    return { state: 'failed', code: 'RecordingMissing', error: `The call lasted ${seconds} s, and Exotel has no recording of it` }
  }
  return notRecorded(facts)
}

/** Contains the status that it is based on. If a later event says that the call was answered, the search starts again. */
function notRecorded(facts: CallFacts): Outcome {
  const status = facts.status()
  return { state: 'not_recorded', ...(status !== undefined && { status }) }
}
