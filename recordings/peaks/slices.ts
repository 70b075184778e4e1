import { setTimeout as pause } from 'node:timers/promises'

/** The longest time for which the computation blocks the process, apart from a single piece of work. */
const SLICE_MS = 10

/** Divides a long computation into slices. Between them, the other work of the process runs. */
export class Slices {
  readonly #pausePerMs: number
  readonly #signal: AbortSignal
  #workedMs = 0

  /** @param share the share of the time of the process that the computation may take, above 0 and at most 1 */
  constructor(share: number, signal: AbortSignal) {
    this.#pausePerMs = 1 / share - 1
    this.#signal = signal
  }

  /**
   * Does one short piece of work. Pauses after it if the slice is over.
   * @throws the reason of the signal once it is aborted
   */
  async run<T>(work: () => T): Promise<T> {
    this.#signal.throwIfAborted()
    const startedAt = performance.now()
    const result = work()
    this.#workedMs += performance.now() - startedAt
    if (this.#workedMs >= SLICE_MS) {
      const pauseMs = this.#workedMs * this.#pausePerMs
      this.#workedMs = 0
      await pause(pauseMs, undefined, { signal: this.#signal }).catch(() => this.#signal.throwIfAborted())
    }
    return result
  }
}
