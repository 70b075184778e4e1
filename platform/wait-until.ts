import { setTimeout as pause } from 'node:timers/promises'
import type { Alarms } from './alarm-registry.ts'
import { backoffMs } from './backoff.ts'

/**
 * Repeats `attempt` until it succeeds, and raises an alarm while it fails. For dependencies that may become available after the process.
 * @returns undefined if the signal aborts first
 */
export async function waitUntil<T, Name extends string>(
  attempt: () => Promise<T>,
  { alarms, name, hint, signal }: { alarms: Alarms<Name>; name: Name; hint: string; signal: AbortSignal },
): Promise<T | undefined> {
  for (let tries = 1; !signal.aborted; tries += 1) {
    try {
      const result = await attempt()
      alarms.clear(name)
      return result
    } catch (error) {
      alarms.raise(name, `${error instanceof Error ? error.message : String(error)}; if it has never been set up, ${hint}`)
      await pause(backoffMs(tries, { firstMs: 500, maxMs: 10_000 }), undefined, { signal }).catch(() => {})
    }
  }
  return undefined
}
