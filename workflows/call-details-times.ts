// When the workflow requests a call's Call Details, to learn whether the call has a recording.
import type { CallDetailsRequest } from '../contracts/recording.ts'
import { iso } from './iso-time.ts'
import type { RecordingRun } from './recording-run.ts'

/** Exotel has a recording 1 to 5 min after the end of the call, 15 at peak [reporting/recording-access]. */
const REQUEST_AFTER_END_MINUTES = [1, 2, 5, 10, 15, 30, 60]
/** While Exotel answers that the call has not ended. A call lasts 4 h at most [api/make-a-call-api, TimeLimit]. */
const RUNNING_EVERY_MINUTES = 10
const RUNNING_FOR_MINUTES = 5 * 60

export interface CallDetailsTimes {
  /** @returns the time of the next request, ms since 1970; undefined after the last one. An event with a later end of the call changes it */
  next(): number | undefined
  /** Records that a request is sent now. @returns the times of the next request, for the call's row */
  startRequest(): Pick<CallDetailsRequest, 'nextRequestAt' | 'nextRequestWhileRunningAt'>
  /** Records that Exotel answered that the call has not ended. */
  noteRunning(): void
}

export function callDetailsTimes({ call, facts, inbox }: Pick<RecordingRun, 'call' | 'facts' | 'inbox'>): CallDetailsTimes {
  const minuteMs = 60_000 * call.policy.waitScale
  let requestedAtMs: number | undefined
  let wasRunningAtMs: number | undefined

  return {
    next() {
      if (requestedAtMs === undefined) return first()
      if (wasRunningAtMs !== requestedAtMs) return after(Date.now())
      return facts.latestEndMs() > wasRunningAtMs ? after(wasRunningAtMs) : whileRunning(wasRunningAtMs)
    },
    startRequest() {
      requestedAtMs = Date.now()
      const [next, running] = [after(requestedAtMs), whileRunning(requestedAtMs)]
      return {
        ...(next !== undefined && { nextRequestAt: iso(next) }),
        ...(running !== undefined && { nextRequestWhileRunningAt: iso(running) }),
      }
    },
    noteRunning: () => void (wasRunningAtMs = requestedAtMs),
  }

  /** Now if one of the times has passed or a new search was requested; else the first of the times. */
  function first(): number | undefined {
    const times = afterEnd()
    return inbox.mustRequest() || times.some((atMs) => atMs <= Date.now()) ? Date.now() : times[0]
  }

  /** Times that passed during an outage of Exotel's API lead to one request, not to several in a row. */
  function after(ms: number): number | undefined {
    return afterEnd().find((atMs) => atMs > ms)
  }

  function afterEnd(): number[] {
    const endMs = Math.max(facts.latestEndMs(), wasRunningAtMs ?? 0)
    return REQUEST_AFTER_END_MINUTES.map((minutes) => endMs + minutes * minuteMs)
  }

  function whileRunning(ms: number): number | undefined {
    return ms < Date.parse(call.arrivedAt) + RUNNING_FOR_MINUTES * minuteMs ? ms + RUNNING_EVERY_MINUTES * minuteMs : undefined
  }
}
