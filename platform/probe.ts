import { withDeadline } from './deadline.ts'
import { gauge } from './metrics.ts'

const DEADLINE_MS = 1500
/** The dependency is checked at most this often. */
const CACHED_MS = 1000

const up = gauge('dependency_up', '1 if the last check of the dependency succeeded', ['name'])

/**
 * Creates a check of a dependency.
 * @param check returns or throws; undefined means unavailable
 * @returns a function that resolves to the result of the check, or undefined if the dependency is unavailable. Calls within a second
 *   share one check
 */
export function createProbe<T>(name: string, check: () => Promise<T | undefined>): () => Promise<T | undefined> {
  let last: { at: number; result: Promise<T | undefined> } | undefined
  const checkNow = async (): Promise<T | undefined> => {
    const result = await withDeadline(check(), DEADLINE_MS).catch(() => undefined)
    up.set({ name }, result === undefined ? 0 : 1)
    return result
  }
  return () => {
    if (!last || performance.now() - last.at > CACHED_MS) last = { at: performance.now(), result: checkNow() }
    return last.result
  }
}
