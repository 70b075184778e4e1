// What is known of the call itself: its status, its end and its duration, merged from all signals.
import type { CallFactsSoFar, EndedCall } from './contracts/recording.ts'

export interface CallFacts {
  update(facts: CallFactsSoFar): void
  /** True until an event says that the call was answered. */
  unanswered(): boolean
  status(): string | undefined
  durationSeconds(): number | undefined
  /** The end of the call; undefined where it is unknown or not plausible. */
  endedAtMs(): number | undefined
  carryOver(): CallFactsSoFar
}

const UNANSWERED = new Set(['busy', 'no-answer', 'failed', 'canceled'])
/** An end further from the arrival of its first event counts as unknown: the value, or a clock, is wrong. */
const PLAUSIBLE_MS = { before: 200 * 24 * 3600_000, after: 15 * 60_000 }

export function collectFacts(call: EndedCall, earlier: CallFactsSoFar = {}): CallFacts {
  let known = earlier
  return {
    update(facts) {
      const answered = known.status === 'completed'
      known = { ...known, ...facts, ...(answered && { status: 'completed' }) }
    },
    unanswered: () => isUnanswered(known.status),
    status: () => known.status,
    durationSeconds: () => known.durationSeconds,
    endedAtMs() {
      const endedMs = known.endedAt === undefined ? Number.NaN : Date.parse(known.endedAt)
      const afterArrivalMs = endedMs - Date.parse(call.arrivedAt)
      return afterArrivalMs > -PLAUSIBLE_MS.before && afterArrivalMs < PLAUSIBLE_MS.after ? endedMs : undefined
    },
    carryOver: () => known,
  }
}

/** A call that was not answered has no recording. */
export function isUnanswered(status: string | undefined): status is string {
  return status !== undefined && UNANSWERED.has(status)
}
