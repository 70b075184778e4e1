import { setTimeout as pause } from 'node:timers/promises'
import { backoffMs } from './backoff.ts'
import type { Logger } from './logger.ts'

export interface Pauses {
  firstMs: number
  maxMs: number
}

export function scaled({ firstMs, maxMs }: Pauses, scale: number): Pauses {
  return { firstMs: firstMs * scale, maxMs: maxMs * scale }
}

export interface RetryPolicy extends Pauses {
  /** The total number of attempts, including the first one. */
  attempts: number
}

/**
 * Repeats an idempotent call after transient errors. Logs each failed attempt after which another one follows. Throws the error of the
 * last attempt, and a permanent error at once.
 */
export async function retrying<T>(
  { attempts, ...pauses }: RetryPolicy,
  { what, isTransient, logger }: { what: string; isTransient: (error: unknown) => boolean; logger: Logger },
  call: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call()
    } catch (error) {
      if (attempt >= attempts || !isTransient(error)) throw error
      const pauseMs = backoffMs(attempt, pauses)
      logger.warn({ error, what, attempt, attempts, pauseMs }, 'Call failed: next attempt after the pause')
      await pause(pauseMs)
    }
  }
}
