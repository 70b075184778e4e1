import { withDeadline } from './deadline.ts'
import { gauge } from './metrics.ts'

const DEADLINE_MS = 1500
/** However often it is asked, the dependency is asked this often. */
const CACHED_MS = 1000

const up = gauge('dependency_up', '1 where the last look at it succeeded', ['name'])

/** A look at something that we need: its result, or undefined where it is away. One look for all who ask within a second. */
export function createProbe<T>(name: string, look: () => Promise<T | undefined>): () => Promise<T | undefined> {
  let last: { at: number; result: Promise<T | undefined> } | undefined
  const lookNow = async (): Promise<T | undefined> => {
    const result = await withDeadline(look(), DEADLINE_MS).catch(() => undefined)
    up.set({ name }, result === undefined ? 0 : 1)
    return result
  }
  return () => {
    if (!last || performance.now() - last.at > CACHED_MS) last = { at: performance.now(), result: lookNow() }
    return last.result
  }
}
