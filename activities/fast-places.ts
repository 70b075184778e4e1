// The places for transfers on the fast path. Each transfer holds a slot for workflow tasks, which signals and other workflows need too.

export interface FastPlaces {
  /** Waits a moment for a free place. @returns false if all places stayed taken */
  take(): Promise<boolean>
  free(): void
}

/** @param waitMs the longest time that a recording waits for a place. Under a high load, places become free many times a second */
export function openFastPlaces(count: number, waitMs: number): FastPlaces {
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
