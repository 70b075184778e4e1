// No webhook named a recording: wait for one, and ask Exotel's Call Details meanwhile.
import { CancellationScope, condition, isCancellation } from '@temporalio/workflow'
import { failureIn } from './failure.ts'
import { askExotel, refTo } from './recording-activities.ts'
import type { CallDetailsAnswer, EndedCall, Outcome, Question } from './contracts/recording.ts'
import { isUnanswered, type Inbox } from './recording-inbox.ts'
import type { Progress } from './recording-progress.ts'

/** Exotel has a recording 1 to 5 min after the call's end, 15 at peak [reporting/recording-access]. */
const ASK_AFTER_MINUTES = [1, 2, 5, 10, 15, 30, 60]

export async function findRecording(call: EndedCall, inbox: Inbox, progress: Progress): Promise<{ sourceUrl: string } | Outcome> {
  let answer: CallDetailsAnswer | undefined
  const times = timesToAsk(call, inbox)
  for (const [index, atMs] of times.entries()) {
    if (inbox.unanswered()) return notRecorded(inbox)
    await progress.waitFor(inbox.hasLink, atMs, answer ? `Exotel said: ${answer.answer}` : 'No link has come yet')
    if (inbox.hasLink()) return { sourceUrl: inbox.take().sourceUrl! }
    if (inbox.unanswered()) return notRecorded(inbox)
    progress.step('find', 'Asking Exotel whether the call has a recording')
    answer = await askUnlessLinkComes({ ...refTo(call), ...whenNext(times[index + 1]) }, inbox)
    if (inbox.hasLink()) return { sourceUrl: inbox.take().sourceUrl! }
    if (answer?.answer === 'none' && isUnanswered(answer.status)) return { state: 'not_recorded', status: answer.status }
    if (answer?.answer === 'named') return { sourceUrl: inbox.claim(answer.sourceUrl) }
  }
  return concludeWithout(call, inbox, answer)
}

/** Exotel's word; undefined once a link has come meanwhile, since asking may take hours while Exotel refuses our key. */
async function askUnlessLinkComes(question: Question, inbox: Inbox): Promise<CallDetailsAnswer | undefined> {
  const scope = new CancellationScope()
  const asked = scope.run(() => askExotel(question)).catch(asUnavailable)
  await Promise.race([asked, condition(inbox.hasLink)])
  if (!inbox.hasLink()) return asked
  asked.catch(() => {}) // nobody wants the answer any more
  scope.cancel()
  return undefined
}

function whenNext(atMs: number | undefined): Pick<Question, 'nextAskAt'> {
  return atMs === undefined ? {} : { nextAskAt: new Date(atMs).toISOString() }
}

/** An answer that we cannot make sense of is none. */
function asUnavailable(error: unknown): CallDetailsAnswer {
  if (isCancellation(error)) throw error
  return { answer: 'unavailable', reason: failureIn(error).message }
}

/** Those times that are still ahead; where all have passed, now. */
function timesToAsk(call: EndedCall, inbox: Inbox): number[] {
  const from = inbox.endedAtMs() ?? Date.parse(call.arrivedAt)
  const all = ASK_AFTER_MINUTES.map((minutes) => from + minutes * 60_000 * call.policy.waitScale)
  const ahead = all.filter((atMs) => atMs > Date.now())
  return ahead.length < all.length ? [Date.now(), ...ahead] : ahead
}

/** Only Exotel's own word makes it "not recorded"; and a long talk without a recording is a missing one. */
function concludeWithout({ policy }: EndedCall, inbox: Inbox, answer: CallDetailsAnswer | undefined): Outcome {
  if (answer === undefined || answer.answer === 'unavailable') {
    return { state: 'failed', code: 'ExotelUnavailable', error: answer?.reason ?? 'Exotel was not asked' }
  }
  const seconds = inbox.durationSeconds() ?? (answer.answer === 'none' ? answer.durationSeconds : undefined)
  if (seconds !== undefined && seconds >= policy.expectedFromSeconds) {
    return { state: 'failed', code: 'RecordingMissing', error: `The call lasted ${seconds} s, and Exotel has no recording of it` }
  }
  return notRecorded(inbox)
}

/** With the status that this rests on: where the call turns out to be answered later, the search begins anew. */
function notRecorded(inbox: Inbox): Outcome {
  const status = inbox.status()
  return { state: 'not_recorded', ...(status !== undefined && { status }) }
}
