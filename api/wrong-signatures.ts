// Which client addresses recently sent webhooks with a wrong signature. In the memory of one process: it only bounds what is read.

/** An address that sent this many within `WINDOW_MS` has sent many. */
const MANY = 10
const WINDOW_MS = 60_000
/** Addresses that are remembered; beyond that the oldest is forgotten. */
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

  /** Exotel's addresses may be shared with others: a sender that proves its origin is trusted again at once. */
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
