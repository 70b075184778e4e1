// The alarm about downloads that hold all slots of a task queue and make no progress.
import type { Dependencies } from './dependencies.ts'

export interface StalledDownloads {
  /** Runs a download, which holds a slot of its task queue until it ends, and reports how many bytes it has. */
  hold<T>(queue: string, download: (onProgress: (bytes: number) => void) => Promise<T>): Promise<T>
}

interface Slot {
  progressAt: number
  /** The number of bytes at the last progress. Undefined until the first report, because the download may continue a part. */
  bytes?: number
}

const NAME = 'DownloadsStalled'
/** Shorter than the deadlines of a download. Otherwise each download would end before it counts as stalled. */
const STALLED_AFTER_MS = 15_000
const CHECK_EVERY_MS = 5000
/** Longer than the time between two stalled downloads in one slot, so that the alarm is not cleared and raised again with each of them. */
const CLEAR_AFTER_MS = 60_000
/** Fewer bytes are not progress, so a source that sends single bytes counts as stalled. */
const PROGRESS_BYTES = 64 * 1024

/**
 * The alarm is raised when all slots of a task queue are held by downloads that have received less than 64 kB within 15 s. It is cleared by
 * the first progress in that queue, or when the queue has not been stalled for a minute.
 */
export function createStalledDownloads({ alarms, downloads }: Pick<Dependencies, 'alarms' | 'downloads'>): StalledDownloads {
  const held = new Map<string, Set<Slot>>()
  /** The stalled queues, and the time when each was last found stalled. */
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
          if (bytes - slot.bytes >= PROGRESS_BYTES) recordProgress(queue, slot, bytes)
        })
        clearStalled(queue)
        return result
      } finally {
        slots.delete(slot)
      }
    },
  }

  function recordProgress(queue: string, slot: Slot, bytes: number): void {
    slot.bytes = bytes
    slot.progressAt = performance.now()
    clearStalled(queue)
  }

  function check(): void {
    const now = performance.now()
    for (const [queue, slots] of held) {
      const isStalled = slots.size >= downloads.slots && [...slots].every(({ progressAt }) => now - progressAt >= STALLED_AFTER_MS)
      if (isStalled) setStalled(queue, now)
      else if (now - (stalled.get(queue) ?? now) >= CLEAR_AFTER_MS) clearStalled(queue)
      if (slots.size === 0 && !stalled.has(queue)) held.delete(queue)
    }
    if (held.size > 0) return
    clearInterval(checks)
    checks = undefined
  }

  function setStalled(queue: string, now: number): void {
    stalled.set(queue, now)
    alarms.raise(NAME, `All ${downloads.slots} download slots of the task queue ${queue} are held by downloads without progress`)
  }

  function clearStalled(queue: string): void {
    if (stalled.delete(queue) && stalled.size === 0) alarms.clear(NAME)
  }
}
