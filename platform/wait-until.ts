import { setTimeout as pause } from 'node:timers/promises'
import type { Alarms } from './alarms.ts'
import { backoffMs } from './backoff.ts'

/** Tries until it works, with an alarm meanwhile: what a process needs at its start may come later than the process. */
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
      alarms.raise(name, `${error instanceof Error ? error.message : String(error)}; if it was never set up, ${hint}`)
      await pause(backoffMs(tries, { firstMs: 500, maxMs: 10_000 }), undefined, { signal }).catch(() => {})
    }
  }
  return undefined
}
