// What is known about the call: its status, its end and its duration, merged from all signals.
import { isUnanswered } from '../contracts/call-status.ts'
import { isPlausibleEnd } from '../contracts/plausible-end.ts'
import type { CallFactsSoFar, EndedCall } from '../contracts/recording.ts'

export interface CallFacts {
  update(facts: CallFactsSoFar): void
  /** An event says that nobody answered the call, and no event says that somebody did. */
  unanswered(): boolean
  /** An event says that the call was answered, by its status or by a duration that should have a recording. */
  answered(): boolean
  status(): string | undefined
  durationSeconds(): number | undefined
  /** The end of the call; undefined if it is unknown or not plausible. */
  endedAtMs(): number | undefined
  /** The end of the call; if it is unknown, the arrival of the newest event that ends the call. */
  latestEndMs(): number
  carryOver(): CallFactsSoFar
}

export function collectFacts(call: EndedCall, earlier: CallFactsSoFar = {}): CallFacts {
  let known = earlier
  return {
    update(facts) {
      const wasCompleted = known.status === 'completed'
      const endReportedAt = newestOf(known.endReportedAt, facts.endReportedAt)
      const endedAt = newestOf(known.endedAt, facts.endedAt)
      known = {
        ...known,
        ...facts,
        ...(wasCompleted && { status: 'completed' }),
        ...(endedAt !== undefined && { endedAt }),
        ...longest(known, facts),
        ...(endReportedAt !== undefined && { endReportedAt }),
      }
    },
    unanswered: () => isUnanswered(known.status) && !answered(),
    answered,
    status: () => known.status,
    durationSeconds: () => known.durationSeconds,
    endedAtMs,
    latestEndMs: () => endedAtMs() ?? endReportedAtMs(),
    carryOver: () => known,
  }

  function answered(): boolean {
    return known.status === 'completed' || (known.durationSeconds ?? 0) >= call.policy.expectedFromSeconds
  }

  function endedAtMs(): number | undefined {
    const endedMs = known.endedAt === undefined ? Number.NaN : Date.parse(known.endedAt)
    const isPlausible = isPlausibleEnd(endedMs, endReportedAtMs())
    return isPlausible ? endedMs : undefined
  }

  function endReportedAtMs(): number {
    return Date.parse(known.endReportedAt ?? call.arrivedAt)
  }
}

function longest(...facts: CallFactsSoFar[]): Pick<CallFactsSoFar, 'durationSeconds'> {
  const durations = facts.flatMap(({ durationSeconds }) => durationSeconds ?? [])
  return durations.length > 0 ? { durationSeconds: Math.max(...durations) } : {}
}

/** @param times ISO 8601 in UTC, so that their order as texts is their order in time */
function newestOf(...times: (string | undefined)[]): string | undefined {
  return times
    .filter((time) => time !== undefined)
    .toSorted()
    .at(-1)
}
