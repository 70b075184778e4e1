import type { FailureCode } from '../contracts/failures.ts'

/** When and for how long recovery tries failed recordings again. All times in ms, already scaled. */
export interface RecoveryPlan {
  /** Pauses after the first failure, the second, and so on. The last one is used for all further failures. */
  pausesMs: number[]
  /** Time from the first failure. Exotel hardly ever keeps a recording for longer. */
  forMs: number
}

/**
 * No other attempt follows: Exotel no longer has the recording, our own rules refuse it, or a person cancelled the run or erased the call.
 */
const FINAL: ReadonlySet<FailureCode> = new Set(['RecordingExpired', 'RecordingTooLarge', 'RecordingUrlRefused', 'Cancelled'])

/** A search without a result is not repeated more often. */
const MAX_SEARCHES = 5
const SEARCH_FAILURES: ReadonlySet<FailureCode> = new Set(['RecordingMissing', 'CallUnknown'])

/**
 * @param history `failures` is the number of failures since `since`, with this one
 * @returns when recovery tries again; undefined: never
 */
export function nextRecovery(
  code: FailureCode,
  { failures, since, now }: { failures: number; since: Date; now: Date },
  { pausesMs, forMs }: RecoveryPlan,
): Date | undefined {
  if (FINAL.has(code)) return undefined
  if (SEARCH_FAILURES.has(code) && failures >= MAX_SEARCHES) return undefined
  const pauseMs = pausesMs[Math.min(failures, pausesMs.length) - 1] ?? 0
  const at = now.getTime() + pauseMs
  return at <= since.getTime() + forMs ? new Date(at) : undefined
}
