import { setTimeout as pause } from 'node:timers/promises'

const POLL_MS = 50
/** Factor for all timeouts, because the machine may be busy. Timeouts only end tests that would wait forever; they measure nothing. */
const TIMEOUT_FACTOR = 4

/**
 * Repeats the check until its result is not undefined, null or false, and returns that result.
 * @param what what is waited for, for the error message
 * @throws the error of the last check, or a message that names `what`, if the timeout passes
 */
export async function eventually<T>(what: string, check: () => Promise<T | undefined | null | false>, timeoutMs = 30_000): Promise<T> {
  let last: unknown
  const limitMs = timeoutMs * TIMEOUT_FACTOR
  for (const deadline = Date.now() + limitMs; Date.now() < deadline; await pause(POLL_MS)) {
    try {
      const result = await check()
      if (result !== undefined && result !== null && result !== false) return result
      last = undefined
    } catch (error) {
      last = error
    }
  }
  throw last instanceof Error ? last : new Error(`Waited ${limitMs / 1000} s without success for: ${what}`)
}
