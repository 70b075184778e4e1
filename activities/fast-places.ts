// The places for transfers on the fast path. Each transfer holds a slot for workflow tasks, which signals and other workflows need too.

export interface FastPlaces {
  /** Waits a moment for a free place. @returns false if all places stayed taken */
  take(): Promise<boolean>
  free(): void
}

/** Recordings that a worker has on the fast path at once. */
export const FAST_PLACES = 32
/**
 * The worker's slots for workflow tasks. Those without a place are for signals and other workflows, and for recordings that wait for a place:
 * while all transfers are slow, a worker still processes at least 16 tasks a second.
 */
export const WORKFLOW_TASK_SLOTS = FAST_PLACES + 8
/**
 * The longest time that a recording waits for a place. Under a high load, places become free many times in this time. Without a pause, the
 * whole backlog would take the durable path, which costs twice as much.
 */
const WAIT_MS = 500

export function openFastPlaces(count = FAST_PLACES, waitMs = WAIT_MS): FastPlaces {
  let taken = 0
  const waiting = new Set<() => void>()
  return {
    take() {
      if (taken >= count) return waitForPlace()
      taken += 1
      return Promise.resolve(true)
    },
    free() {
      const [next] = waiting
      if (next) next()
      else taken -= 1
    },
  }

  function waitForPlace(): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (hasPlace: boolean): void => {
        clearTimeout(timer)
        waiting.delete(takeOver)
        resolve(hasPlace)
      }
      const takeOver = (): void => end(true)
      const timer = setTimeout(end, waitMs, false)
      waiting.add(takeOver)
    })
  }
}
