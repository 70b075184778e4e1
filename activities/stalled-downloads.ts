// The alarm about downloads that hold all slots of a queue and make no progress.
import type { Dependencies } from './dependencies.ts'

export interface StalledDownloads {
  /** Runs a download, which holds a slot of its task queue meanwhile and tells how many bytes it has. */
  hold<T>(queue: string, download: (onProgress: (bytes: number) => void) => Promise<T>): Promise<T>
}

interface Slot {
  progressAt: number
  /** At the last progress; undefined until the first bytes come, which may continue a part. */
  bytes?: number
}

const NAME = 'DownloadsStalled'
/** Below the deadlines of a download: otherwise each would end before it counts. */
const STALLED_AFTER_MS = 15_000
const CHECK_EVERY_MS = 5000
/** Beyond the longest time between two downloads that stall in one slot, so that the alarm does not end and begin again with each. */
const OVER_AFTER_MS = 60_000
/** A source that sends single bytes makes no progress. */
const PROGRESS_BYTES = 64 * 1024

/**
 * The alarm begins when all slots of a queue are held by downloads that have received less than 64 kB for 15 s. It ends with the
 * first progress in that queue, or after a minute in which that was not so.
 */
export function createStalledDownloads({ alarms, downloads }: Pick<Dependencies, 'alarms' | 'downloads'>): StalledDownloads {
  const held = new Map<string, Set<Slot>>()
  /** The queues of the alarm, and when each was last seen stalled. */
  const stalled = new Map<string, number>()
  let checks: NodeJS.Timeout | undefined
  return {
    async hold(queue, download) {
      const slot: Slot = { progressAt: performance.now() }
      const slots = held.get(queue) ?? new Set()
      held.set(queue, slots.add(slot))
      checks ??= setInterval(check, CHECK_EVERY_MS).unref()
      try {
        const result = await download((bytes) => {
          slot.bytes ??= bytes
          if (bytes - slot.bytes >= PROGRESS_BYTES) progressed(queue, slot, bytes)
        })
        ended(queue)
        return result
      } finally {
        slots.delete(slot)
      }
    },
  }

  function progressed(queue: string, slot: Slot, bytes: number): void {
    slot.bytes = bytes
    slot.progressAt = performance.now()
    ended(queue)
  }

  function check(): void {
    const now = performance.now()
    for (const [queue, slots] of held) {
      const isStalled = slots.size >= downloads.slots && [...slots].every(({ progressAt }) => now - progressAt >= STALLED_AFTER_MS)
      if (isStalled) began(queue, now)
      else if (now - (stalled.get(queue) ?? now) >= OVER_AFTER_MS) ended(queue)
      if (slots.size === 0 && !stalled.has(queue)) held.delete(queue)
    }
    if (held.size > 0) return
    clearInterval(checks)
    checks = undefined
  }

  function began(queue: string, now: number): void {
    stalled.set(queue, now)
    alarms.raise(NAME, `All ${downloads.slots} download slots are held by downloads that make no progress (task queue ${queue})`)
  }

  function ended(queue: string): void {
    if (stalled.delete(queue) && stalled.size === 0) alarms.clear(NAME)
  }
}
