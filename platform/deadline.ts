/** The work went on for too long; it may still succeed behind our back. */
class DeadlineExceeded extends Error {}

export async function withDeadline<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(exceeded(ms)), ms)
  })
  try {
    return await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
  }
}

export interface Deadline {
  /** Aborts when the time is over. */
  signal: AbortSignal
  /** The work is done in time: the signal no longer aborts. */
  end(): void
}

/** A deadline for work that takes a signal and so stops by itself. Whoever starts it ends it. */
export function startDeadline(ms: number): Deadline {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(exceeded(ms)), ms)
  return { signal: controller.signal, end: () => clearTimeout(timer) }
}

function exceeded(ms: number): DeadlineExceeded {
  return new DeadlineExceeded(`No answer within ${ms} ms`)
}
