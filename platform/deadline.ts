/** The work took too long. It is not cancelled and may still succeed. */
export class DeadlineExceeded extends Error {}

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
  /** Aborts when the deadline has passed. */
  signal: AbortSignal
  /** To be called when the work is done: the signal then no longer aborts. */
  end(): void
}

/** A deadline for work that accepts a signal and stops when it aborts. The caller has to call `end`. */
export function startDeadline(ms: number): Deadline {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(exceeded(ms)), ms)
  return { signal: controller.signal, end: () => clearTimeout(timer) }
}

function exceeded(ms: number): DeadlineExceeded {
  return new DeadlineExceeded(`No answer within ${ms} ms`)
}
