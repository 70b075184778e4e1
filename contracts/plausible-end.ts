// Decides whether the end time of a call is plausible. Exotel's clock or a value may be wrong. End times merge by maximum, so a wrong one
// must not replace a correct one.

/** The backfill reads six months of calls. */
export const MAX_DAYS_BEFORE_ARRIVAL = 200
/** Exotel's clock may be ahead of ours. */
const MAX_MS_AFTER_ARRIVAL = 15 * 60_000

/** @param arrivedMs when the event with this end time arrived, ms since 1970 */
export function isPlausibleEnd(endedMs: number, arrivedMs: number): boolean {
  return endedMs > arrivedMs - MAX_DAYS_BEFORE_ARRIVAL * 24 * 3600_000 && isNotAhead(endedMs, arrivedMs)
}

/** The check for a new event. It has no lower limit, because reconciliation and backfill record old calls. */
export function isNotAhead(endedMs: number, arrivedMs: number): boolean {
  return endedMs < arrivedMs + MAX_MS_AFTER_ARRIVAL
}
