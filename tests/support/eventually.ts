import { setTimeout as pause } from 'node:timers/promises'

const POLL_MS = 50
/** A busy machine gets so many times the limit: it is there to end a test that waits in vain, not to measure. */
const PATIENCE = 4

/** The first result that is not undefined, null or false; the last error, or what was waited for, where none comes in time. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined | null | false>, timeoutMs = 30_000): Promise<T> {
  let last: unknown
  const limitMs = timeoutMs * PATIENCE
  for (const deadline = Date.now() + limitMs; Date.now() < deadline; await pause(POLL_MS)) {
    try {
      const result = await look()
      if (result !== undefined && result !== null && result !== false) return result
      last = undefined
    } catch (error) {
      last = error
    }
  }
  throw last instanceof Error ? last : new Error(`Waited ${limitMs / 1000} s in vain for: ${what}`)
}
