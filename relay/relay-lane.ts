// Limits the relay's concurrent requests to Temporal, so that requests without a response do not delay others.

export interface LaneLimits {
  /** Maximum number of requests of this lane that are younger than `slowAfterMs`. */
  concurrency: number
  /** A request that takes longer does not count against `concurrency` any more, only against `inFlight`. */
  slowAfterMs: number
  /** Maximum number of requests of this lane, young and slow together. Each ends at its deadline. */
  inFlight: number
}

export interface Lane {
  /**
   * How many requests may start now, but 0 if it is fewer than half of `concurrency`. So one SQL statement claims several events, not one
   * statement for each slot that becomes free.
   */
  freeSlots(): number
  /** Runs the work and counts it as one request of this lane. */
  run<T>(work: () => Promise<T>): Promise<T>
}

/** @param onFree is called whenever another request may start */
export function openLane({ concurrency, slowAfterMs, inFlight }: LaneLimits, onFree: () => void): Lane {
  let recent = 0
  let inProgress = 0
  return {
    freeSlots() {
      const free = Math.min(concurrency - recent, inFlight - inProgress)
      return free * 2 >= concurrency ? free : 0
    },
    async run(work) {
      recent += 1
      inProgress += 1
      let isRecent = true
      const leaveRecent = (): void => {
        if (isRecent) recent -= 1
        isRecent = false
        onFree()
      }
      const timer = setTimeout(leaveRecent, slowAfterMs)
      try {
        return await work()
      } finally {
        clearTimeout(timer)
        inProgress -= 1
        leaveRecent()
      }
    },
  }
}
