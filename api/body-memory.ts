// Limits the memory of large request bodies. If a body needs more memory than a limit allows, one client has to release memory: the sender
// (limit of one client), or the client that holds the most (limit in total). The oldest other incomplete body of that client is rejected;
// if there is none, the body that needs the memory. A regular body arrives within moments, so an old one is probably held back on purpose.

const KB = 1024
const MB = 1024 * KB
/** Always granted. No webhook or form that was observed is longer, and the number of connections is limited. */
export const GRANTED_BYTES = 16 * KB
/** Maximum of all bodies together beyond that. */
const TOTAL_BYTES = 32 * MB
/** Maximum of the bodies of one client beyond that. */
const CLIENT_BYTES = 8 * MB

interface Client {
  bytes: number
  /** Bodies that have not arrived completely, the oldest first. */
  unfinished: Set<HeldBody>
}

/** Clients whose bodies hold memory. */
const clients = new Map<string, Client>()
let total = 0

export class HeldBody {
  readonly #key: string
  readonly #onEvicted: () => void
  #bytes = 0

  /**
   * @param key the `clientKey` of the sender
   * @param onEvicted called after another body took the memory of this one
   */
  constructor(key: string, onEvicted: () => void) {
    this.#key = key
    this.#onEvicted = onEvicted
  }

  /** Holds memory for the first `bytes` bytes of the body. @returns whether there is enough memory */
  hold(bytes: number): boolean {
    const more = Math.max(0, bytes - GRANTED_BYTES) - this.#bytes
    if (more <= 0) return true
    const own = clients.get(this.#key) ?? { bytes: 0, unfinished: new Set() }
    for (let full = clientToEvict(own, more); full; full = clientToEvict(own, more)) if (!this.#evictOldestOf(full)) return false
    own.unfinished.add(this)
    this.#change(own, more)
    return true
  }

  /** Call when the whole body has arrived: no other body takes its memory until it is released. */
  finish(): void {
    clients.get(this.#key)?.unfinished.delete(this)
  }

  /** Releases the memory. A second call changes nothing. */
  release(): void {
    if (this.#bytes === 0) return
    const own = clients.get(this.#key)!
    own.unfinished.delete(this)
    this.#change(own, -this.#bytes)
  }

  #evictOldestOf(client: Client): boolean {
    const oldest = [...client.unfinished].find((body) => body !== this)
    if (!oldest) return false
    oldest.release()
    oldest.#onEvicted()
    return true
  }

  #change(own: Client, by: number): void {
    this.#bytes += by
    own.bytes += by
    total += by
    if (own.bytes > 0) clients.set(this.#key, own)
    else clients.delete(this.#key)
  }
}

/** @returns the client that must release memory before `own` can hold `more` bytes; undefined if there is enough memory */
function clientToEvict(own: Client, more: number): Client | undefined {
  if (own.bytes + more > CLIENT_BYTES) return own
  if (total + more > TOTAL_BYTES) return clientWithMost(own, own.bytes + more)
  return undefined
}

/** The client that holds the most memory; `own` if no other one holds more than `ownBytes`. */
function clientWithMost(own: Client, ownBytes: number): Client {
  let [most, bytes] = [own, ownBytes]
  for (const client of clients.values()) if (client.bytes > bytes) [most, bytes] = [client, client.bytes]
  return most
}
