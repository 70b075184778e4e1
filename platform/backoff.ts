/** Exponential backoff. The upper half of the pause is random, so that clients that fail together do not retry together. */
export function backoffMs(attempt: number, { firstMs, maxMs }: { firstMs: number; maxMs: number }): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(attempt - 1, 30))
  return Math.round(full / 2 + (Math.random() * full) / 2)
}
