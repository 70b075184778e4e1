// Client addresses that recently sent webhooks with a wrong signature. The memory of one process suffices, because this only limits
// how much of a body is read.

/** The number of wrong signatures within `WINDOW_MS` that counts as many. */
const MANY = 10
const WINDOW_MS = 60_000
/** Maximum of addresses in memory. Beyond it, the oldest one is removed. */
const MAX_ADDRESSES = 10_000

export class WrongSignatures {
  readonly #byAddress = new Map<string, { count: number; since: number }>()

  /** @param address the `clientKey` of the sender */
  add(address: string): void {
    const recent = this.#recent(address)
    if (recent) return void (recent.count += 1)
    this.#byAddress.delete(address)
    this.#byAddress.set(address, { count: 1, since: performance.now() })
    for (const oldest of this.#byAddress.keys()) {
      if (this.#byAddress.size <= MAX_ADDRESSES) return
      this.#byAddress.delete(oldest)
    }
  }

  /** Exotel's addresses may be shared with others, so an authenticated webhook resets the count of its address. */
  clear(address: string): void {
    this.#byAddress.delete(address)
  }

  areManyFrom(address: string): boolean {
    return (this.#recent(address)?.count ?? 0) >= MANY
  }

  #recent(address: string): { count: number; since: number } | undefined {
    const found = this.#byAddress.get(address)
    return found && performance.now() - found.since < WINDOW_MS ? found : undefined
  }
}
