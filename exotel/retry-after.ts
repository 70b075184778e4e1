const CEILING_MS = 15 * 60_000

/**
 * The delay in a Retry-After header, at most 15 min. The header has seconds or an HTTP date [RFC 9110, 10.2.3].
 * @returns undefined if it is absent, invalid or in the past, so that the caller's own backoff applies
 */
export function retryAfterMs(header: string | string[] | undefined, now: Date): number | undefined {
  const text = (Array.isArray(header) ? header[0] : header)?.trim() ?? ''
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : readDate(text, now)
  return ms !== undefined && ms > 0 ? Math.min(ms, CEILING_MS) : undefined
}

/** Accepts only an HTTP date, because Date.parse reads `-3` as a year. */
function readDate(text: string, now: Date): number | undefined {
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text)) return undefined
  const ms = Date.parse(text) - now.getTime()
  return Number.isNaN(ms) ? undefined : ms
}
