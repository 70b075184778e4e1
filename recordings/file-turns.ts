// Attempts that work on the same spool file run one after the other, in the order in which Temporal scheduled them.

/** One attempt of an activity. */
export interface Attempt {
  /** When Temporal scheduled the attempt. It shows whether an attempt that arrives at this process late is outdated. */
  scheduledMs: number
  signal: AbortSignal
}

/** Temporal has scheduled a later attempt on the same file, so it no longer waits for this one. */
export class Superseded extends Error {}
/** An earlier attempt was aborted but has not ended: the disk does not respond. */
export class FileBusy extends Error {}

interface Turn {
  scheduledMs: number
  abort: AbortController
  /** Fulfilled when neither this turn nor any before it is running. */
  ended: Promise<void>
}

/** Network operations end at once when they are aborted; a write that waits for a slow disk may take longer. */
const END_LIMIT_MS = 20_000

export class FileTurns {
  readonly #endLimitMs: number
  /** The last turn of each file. It is running, or waits for the turns before it. */
  readonly #last = new Map<string, Turn>()

  constructor(endLimitMs = END_LIMIT_MS) {
    this.#endLimitMs = endLimitMs
  }

  /**
   * Aborts the attempts that were scheduled before this one, waits until they have ended, and runs `work`.
   * @throws {Superseded} if a later attempt has arrived already, or arrives while this one waits
   * @throws {FileBusy} if an earlier attempt does not end in time
   */
  async take<T>(file: string, { scheduledMs, signal }: Attempt, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const before = this.#last.get(file)
    if (before && before.scheduledMs > scheduledMs) throw new Superseded('A later attempt works on this recording')
    before?.abort.abort(new Superseded('A later attempt works on this recording'))
    const abort = new AbortController()
    const either = AbortSignal.any([signal, abort.signal])
    const result = (before ? waitForEnd(before, either, this.#endLimitMs) : Promise.resolve()).then(() => {
      either.throwIfAborted()
      return work(either)
    })
    const ended = Promise.allSettled([before?.ended, result]).then(() => {
      if (this.#last.get(file) === turn) this.#last.delete(file)
    })
    const turn: Turn = { scheduledMs, abort, ended }
    this.#last.set(file, turn)
    return result
  }
}

function waitForEnd({ ended }: Turn, signal: AbortSignal, limitMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => settle(() => reject(signal.reason as Error))
    const timer = setTimeout(
      () =>
        settle(() => reject(new FileBusy('An earlier attempt on this recording was aborted but does not end: the disk may not respond'))),
      limitMs,
    )
    const settle = (how: () => void): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      how()
    }
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
    void ended.then(() => settle(resolve))
  })
}
