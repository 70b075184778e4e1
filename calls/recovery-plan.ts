import type { FailureCode } from '../contracts/failures.ts'

/** How long what failed is tried again. All times in ms, scaled already. */
export interface RecoveryPlan {
  /** After the first failure, the second, …; the last one for all that follow. */
  pausesMs: number[]
  /** From the first failure: Exotel keeps hardly a recording for longer. */
  forMs: number
}

/** Another try brings nothing: Exotel no longer has it, our own rules refuse it, or a person said so. */
const FINAL: ReadonlySet<FailureCode> = new Set(['RecordingExpired', 'RecordingTooLarge', 'RecordingUrlRefused', 'Cancelled'])

/** A search without a result is repeated a few times only. */
const SEARCHES = 5
const SEARCHED: ReadonlySet<FailureCode> = new Set(['RecordingMissing', 'CallUnknown'])

/** When a recording that has failed (`failures` times since `since`, this one counted) is tried again; undefined: never. */
export function nextRecovery(
  code: FailureCode,
  { failures, since, now }: { failures: number; since: Date; now: Date },
  { pausesMs, forMs }: RecoveryPlan,
): Date | undefined {
  if (FINAL.has(code)) return undefined
  if (SEARCHED.has(code) && failures >= SEARCHES) return undefined
  const pauseMs = pausesMs[Math.min(failures, pausesMs.length) - 1] ?? 0
  const at = now.getTime() + pauseMs
  return at <= since.getTime() + forMs ? new Date(at) : undefined
}
