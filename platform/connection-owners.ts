// Which client addresses hold the connections of a server. The address with the most of them is found without a scan.
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export interface Connection {
  socket: Socket
  owner: Owner
  /** The response to the request that is being answered. */
  current: ServerResponse | undefined
  /** Starts each pipelined request that waits for its turn. */
  pipelined: (() => void)[]
  /** Since when bytes wait for the client without a pause, and how many it had taken then. */
  unread: { since: number; taken: number } | undefined
  /** How many bytes had arrived at the last look of a server that ends. */
  lastRead: number | undefined
}

/** The connections of one client address, or those of all trusted proxies together. */
export interface Owner {
  /** Undefined for the proxies. */
  key: string | undefined
  /** Connections that wait for their client: for a request, or for the rest of one. The first was used least recently. */
  waiting: Set<Connection>
  /** Connections whose request is being answered. The first has been answered for the longest time. */
  answering: Set<Connection>
}

export class ConnectionOwners {
  /** The owners that have connections. */
  readonly #owners = new Map<string | undefined, Owner>()
  /** Addresses by the number of their connections; proxies are not among them. */
  readonly #bySize: (Set<Owner> | undefined)[] = []
  #largestSize = 0

  /** @param key a client address; undefined for a proxy */
  find(key: string | undefined): Owner {
    return this.#owners.get(key) ?? { key, waiting: new Set(), answering: new Set() }
  }

  /** The address that has the most connections. */
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

  /** All sizes change by one, so that the next smaller one is at hand when the largest is left. */
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

/** Puts the connection behind those of its owner that wait for their client. */
export function markWaiting(connection: Connection): void {
  move(connection, connection.owner.waiting)
}

/** Puts the connection behind those of its owner whose request is being answered. */
export function markAnswering(connection: Connection): void {
  move(connection, connection.owner.answering)
}

/** One that was removed stays removed. */
function move(connection: Connection, to: Set<Connection>): void {
  const { waiting, answering } = connection.owner
  if (waiting.delete(connection) || answering.delete(connection)) to.add(connection)
}

export function first<T>(all: Set<T> | undefined): T | undefined {
  return all?.values().next().value
}
