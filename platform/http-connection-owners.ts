// Counts the connections of a server by client address. The address with the most connections is found without a scan.
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export interface Connection {
  socket: Socket
  owner: Owner
  /** The response to the current request. */
  current: ServerResponse | undefined
  /** Starts each pipelined request that waits for its turn. */
  pipelined: (() => void)[]
  /** Since when bytes have been waiting for the client without interruption, and how many bytes the client had read at that time. */
  unread: { since: number; taken: number } | undefined
  /** How many bytes had arrived when `closeQuiet` last checked the connection. */
  lastRead: number | undefined
}

/** All connections of one client address, or of all trusted proxies together. */
export interface Owner {
  /** Undefined for the proxies. */
  key: string | undefined
  /** Connections that wait for a request, or for the rest of one. The first was used least recently. */
  waiting: Set<Connection>
  /** Connections whose request has arrived completely and is being processed. The first is the oldest. */
  answering: Set<Connection>
}

export class ConnectionOwners {
  /** Owners with at least one connection. */
  readonly #owners = new Map<string | undefined, Owner>()
  /** Client addresses by the number of their connections, without proxies. */
  readonly #bySize: (Set<Owner> | undefined)[] = []
  #largestSize = 0

  /** @param key a client address; undefined for a proxy */
  find(key: string | undefined): Owner {
    return this.#owners.get(key) ?? { key, waiting: new Set(), answering: new Set() }
  }

  /** The address with the most connections. */
  largestAddress(): Owner | undefined {
    return first(this.#bySize[this.#largestSize])
  }

  add(connection: Connection): void {
    const { owner } = connection
    this.#owners.set(owner.key, owner)
    owner.waiting.add(connection)
    this.#sizeChanged(owner, sizeOf(owner) - 1)
  }

  /** A second removal changes nothing. */
  remove(connection: Connection): void {
    const { owner } = connection
    if (!owner.waiting.delete(connection) && !owner.answering.delete(connection)) return
    this.#sizeChanged(owner, sizeOf(owner) + 1)
    if (sizeOf(owner) === 0) this.#owners.delete(owner.key)
  }

  /** A size changes only by one, so when no owner has the largest size any more, the new largest size is one less. */
  #sizeChanged(owner: Owner, before: number): void {
    if (owner.key === undefined) return
    const size = sizeOf(owner)
    this.#bySize[before]?.delete(owner)
    if (size > 0) (this.#bySize[size] ??= new Set()).add(owner)
    if (size > this.#largestSize) this.#largestSize = size
    else if (this.#bySize[this.#largestSize]?.size === 0) this.#largestSize -= 1
  }
}

export function sizeOf({ waiting, answering }: Owner): number {
  return waiting.size + answering.size
}

/** Moves the connection to the end of its owner's waiting connections. */
export function markWaiting(connection: Connection): void {
  move(connection, connection.owner.waiting)
}

/** Moves the connection to the end of its owner's answering connections. */
export function markAnswering(connection: Connection): void {
  move(connection, connection.owner.answering)
}

/** Does nothing if the connection was removed. */
function move(connection: Connection, to: Set<Connection>): void {
  const { waiting, answering } = connection.owner
  if (waiting.delete(connection) || answering.delete(connection)) to.add(connection)
}

export function first<T>(all: Set<T> | undefined): T | undefined {
  return all?.values().next().value
}
