// The memory that large bodies hold, bounded for each client and in total. Where it is used up, a newer body takes the place of an
// older one: an honest body arrives within moments, and one that is held back on purpose is older.

const KB = 1024
const MB = 1024 * KB
/** Always granted: no webhook or form that was ever seen is longer, and connections are bounded. */
export const GRANTED_BYTES = 16 * KB
/** What all bodies may hold beyond that, and those of one client. */
const TOTAL_BYTES = 32 * MB
const CLIENT_BYTES = 8 * MB

interface Client {
  bytes: number
  /** The bodies of which a part is still to come, the oldest first. */
  unfinished: Set<HeldBody>
}

/** Clients that hold memory. */
const clients = new Map<string, Client>()
let total = 0

export class HeldBody {
  readonly #key: string
  readonly #giveUp: () => void
  #bytes = 0

  /**
   * @param key the `clientKey` of the sender
   * @param giveUp refuses the body, because another one took its memory
   */
  constructor(key: string, giveUp: () => void) {
    this.#key = key
    this.#giveUp = giveUp
  }

  /** Holds memory for so many bytes of the body. @returns whether there is as much */
  hold(bytes: number): boolean {
    const more = Math.max(0, bytes - GRANTED_BYTES) - this.#bytes
    if (more <= 0) return true
    const own = clients.get(this.#key) ?? { bytes: 0, unfinished: new Set() }
    for (let full = whoMakesRoom(own, more); full; full = whoMakesRoom(own, more)) if (!this.#replaceOldestOf(full)) return false
    own.unfinished.add(this)
    this.#change(own, more)
    return true
  }

  /** The whole body has arrived: no other one takes its memory until it is released. */
  finish(): void {
    clients.get(this.#key)?.unfinished.delete(this)
  }

  /** A second release changes nothing. */
  release(): void {
    if (this.#bytes === 0) return
    const own = clients.get(this.#key)!
    own.unfinished.delete(this)
    this.#change(own, -this.#bytes)
  }

  #replaceOldestOf(client: Client): boolean {
    const oldest = [...client.unfinished].find((body) => body !== this)
    if (!oldest) return false
    oldest.release()
    oldest.#giveUp()
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

/** @returns the client that must give up memory before `own` can hold so many more bytes; undefined where there is room */
function whoMakesRoom(own: Client, more: number): Client | undefined {
  if (own.bytes + more > CLIENT_BYTES) return own
  if (total + more > TOTAL_BYTES) return clientWithMost(own, own.bytes + more)
  return undefined
}

/** The client that holds the most; `own` where no other one holds more than `ownBytes`. */
function clientWithMost(own: Client, ownBytes: number): Client {
  let [most, bytes] = [own, ownBytes]
  for (const client of clients.values()) if (client.bytes > bytes) [most, bytes] = [client, client.bytes]
  return most
}
