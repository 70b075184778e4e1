// No event named a recording: wait for one that does, and ask Exotel's Call Details meanwhile.
import { CancellationScope, condition, isCancellation } from '@temporalio/workflow'
import { isUnanswered, type CallFacts } from './call-facts.ts'
import type { CallDetailsAnswer, EndedCall, Outcome, Question } from './contracts/recording.ts'
import { failureIn } from './failure.ts'
import { askExotel, refTo } from './recording-activities.ts'
import type { Inbox } from './recording-inbox.ts'
import type { RecordingRun } from './recording-run.ts'

/** Exotel has a recording 1 to 5 min after the end of the call, 15 at peak [reporting/recording-access]. */
const ASK_AFTER_MINUTES = [1, 2, 5, 10, 15, 30, 60]

/** @returns undefined once the inbox has a link */
export async function findRecording(run: RecordingRun): Promise<Outcome | undefined> {
  const { call, facts, inbox, progress } = run
  let answer: CallDetailsAnswer | undefined
  for (let atMs = firstTimeToAsk(call, facts); atMs !== undefined; atMs = timeToAskAfter(Date.now(), call, facts)) {
    if (facts.unanswered()) return notRecorded(facts)
    await progress.waitFor(inbox.hasLinks, atMs, answer ? `Exotel answered: ${answer.answer}` : 'No event has named a recording yet')
    if (inbox.hasLinks()) return undefined
    if (facts.unanswered()) return notRecorded(facts)
    progress.step('find', 'Asking Exotel whether the call has a recording')
    const next = timeToAskAfter(Math.max(atMs, Date.now()), call, facts)
    answer = await askUnlessLinkArrives(run, { ...refTo(call), ...(next !== undefined && { nextAskAt: new Date(next).toISOString() }) })
    if (answer) addNamed(inbox, answer)
    if (inbox.hasLinks()) return undefined
    if (answer?.answer === 'erased') return { state: 'not_recorded' }
    if (answer?.answer === 'none' && isUnanswered(answer.status)) return { state: 'not_recorded', status: answer.status }
  }
  return concludeWithout(call, facts, answer)
}

/** Undefined once a link has arrived meanwhile: asking may take hours while Exotel refuses our credentials. */
async function askUnlessLinkArrives(run: RecordingRun, question: Question): Promise<CallDetailsAnswer | undefined> {
  const { inbox } = run
  const scope = new CancellationScope()
  const asked = scope.run(() => askExotel(question)).catch(asUnavailable)
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
  if (answer.answer === 'named') inbox.add(answer.sourceUrl)
}

function ignoreCancellation(error: unknown): void {
  if (!isCancellation(error)) throw error
}

/** An answer that cannot be read is none. */
function asUnavailable(error: unknown): CallDetailsAnswer {
  if (isCancellation(error)) throw error
  return { answer: 'unavailable', reason: failureIn(error).message }
}

/** Now where one of the times has passed; else the first of them. */
function firstTimeToAsk(call: EndedCall, facts: CallFacts): number | undefined {
  const times = timesToAsk(call, facts)
  return times.some((atMs) => atMs <= Date.now()) ? Date.now() : times[0]
}

/** Times that passed during an outage of Exotel's API are asked for once, not one after the other. */
function timeToAskAfter(ms: number, call: EndedCall, facts: CallFacts): number | undefined {
  return timesToAsk(call, facts).find((atMs) => atMs > ms)
}

function timesToAsk(call: EndedCall, facts: CallFacts): number[] {
  const endedMs = facts.endedAtMs() ?? Date.parse(call.arrivedAt)
  return ASK_AFTER_MINUTES.map((minutes) => endedMs + minutes * 60_000 * call.policy.waitScale)
}

/** Only Exotel's own answer makes a call "not recorded"; a long call without a recording lacks one. */
function concludeWithout({ policy }: EndedCall, facts: CallFacts, answer: CallDetailsAnswer | undefined): Outcome {
  if (answer === undefined || answer.answer === 'unavailable') {
    return { state: 'failed', code: 'ExotelUnavailable', error: answer?.reason ?? 'Exotel was not asked' }
  }
  const seconds = facts.durationSeconds() ?? (answer.answer === 'none' ? answer.durationSeconds : undefined)
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
