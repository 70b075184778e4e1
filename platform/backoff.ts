/** Exponential pause with jitter over its upper half, so that many who fail at once do not come back at once. */
export function backoffMs(attempt: number, { firstMs, maxMs }: { firstMs: number; maxMs: number }): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(attempt - 1, 30))
  return Math.round(full / 2 + (Math.random() * full) / 2)
}
