// Which end of a call is believed. Exotel's clock or a value may be wrong, and a wrong end must not outlast a right one.

/** Backfill reads six months of calls. */
export const MAX_DAYS_BEFORE_ARRIVAL = 200
/** Exotel's clock may be ahead of ours. */
const MAX_MS_AFTER_ARRIVAL = 15 * 60_000

/** @param arrivedMs when the event arrived that told the end, ms since 1970 */
export function isPlausibleEnd(endedMs: number, arrivedMs: number): boolean {
  return endedMs > arrivedMs - MAX_DAYS_BEFORE_ARRIVAL * 24 * 3600_000 && isNotAhead(endedMs, arrivedMs)
}

/** Of a new event: how old it is says nothing, because reconciliation and backfill record old calls. */
export function isNotAhead(endedMs: number, arrivedMs: number): boolean {
  return endedMs < arrivedMs + MAX_MS_AFTER_ARRIVAL
}
