// Bounds the relay's requests to Temporal, so that requests without a response keep no others waiting.

export interface LaneLimits {
  /** How many requests may be under way that are younger than `slowAfterMs`. */
  sideBySide: number
  /** A request that takes longer leaves its place to the next one, and counts only against `inFlight`. */
  slowAfterMs: number
  /** How many requests may be under way in all; each ends at its deadline. */
  inFlight: number
}

export interface Lane {
  /** How many requests may begin now. 0 also where only a few may: claiming one event at a time would cost a statement each. */
  room(): number
  /** Runs the work in a place of this lane. */
  occupy<T>(work: () => Promise<T>): Promise<T>
}

/** @param onRoom is called whenever a place becomes free */
export function openLane({ sideBySide, slowAfterMs, inFlight }: LaneLimits, onRoom: () => void): Lane {
  let recent = 0
  let underWay = 0
  return {
    room() {
      const room = Math.min(sideBySide - recent, inFlight - underWay)
      return room * 2 >= sideBySide ? room : 0
    },
    async occupy(work) {
      recent += 1
      underWay += 1
      let isRecent = true
      const leaveRecent = (): void => {
        if (isRecent) recent -= 1
        isRecent = false
        onRoom()
      }
      const timer = setTimeout(leaveRecent, slowAfterMs)
      try {
        return await work()
      } finally {
        clearTimeout(timer)
        underWay -= 1
        leaveRecent()
      }
    },
  }
}
