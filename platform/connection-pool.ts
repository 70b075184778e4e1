// The open connections of one server, and what each may cost.
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { hasBody, limitPieces } from './body-pieces.ts'

export interface ConnectionLimits {
  /** Connections of one client address. */
  perAddress: number
  total: number
  /** Requests of one connection that wait while another one is answered; none of them has a body. */
  pipelined: number
  /** How long a client may take no bytes of what was written for it. A write of ours has 64 kB at most, or is one JSON text. */
  unreadMs: number
}

export interface Connection {
  socket: Socket
  /** Undefined for a proxy, which is not limited by its address. */
  key: string | undefined
  /** The request that is being answered. */
  current: IncomingMessage | undefined
  /** Starts each pipelined request that waits for its turn. */
  waiting: (() => void)[]
  /** Bytes that the operating system has taken, and since when there are no more of them. */
  taken: number
  takenAt: number
}

/** Why a connection was closed. */
type Limit = keyof ConnectionLimits | 'bodyPieces'

export class ConnectionPool {
  readonly #limits: ConnectionLimits
  readonly #closed: (limit: Limit) => void
  /** In the order of their last use, so that the first have waited longest. */
  readonly #all = new Set<Connection>()
  readonly #byKey = new Map<string, Set<Connection>>()

  constructor(limits: ConnectionLimits, closed: (limit: Limit) => void) {
    this.#limits = limits
    this.#closed = closed
  }

  /** @returns undefined where the connection was closed at once, since no other could make room for it */
  add(socket: Socket, key: string | undefined): Connection | undefined {
    const ofAddress = key === undefined ? undefined : this.#byKey.get(key)
    const hasRoom = (!ofAddress || this.#makeRoom(ofAddress, 'perAddress')) && this.#makeRoom(this.#all, 'total')
    if (!hasRoom) return void socket.destroy()
    const connection: Connection = { socket, key, current: undefined, waiting: [], taken: 0, takenAt: performance.now() }
    this.#insert(connection)
    socket.once('close', () => this.#remove(connection))
    return connection
  }

  /**
   * One request at a time: Node itself would parse and start all requests of a packet, however many, and keep all their answers
   * until the first is read. A request with a body never waits, since Node would keep its body meanwhile: browsers and proxies do not
   * pipeline such requests.
   */
  handleInTurn(connection: Connection, request: IncomingMessage, response: ServerResponse, handler: RequestListener): void {
    const start = (): void => {
      connection.current = request
      response.once('close', () => this.#answered(connection))
      handler(request, response)
    }
    if (hasBody(request)) limitPieces(request, () => this.#close(connection, 'bodyPieces'))
    if (connection.socket.destroyed) return
    if (!connection.current) return start()
    const mayWait = !hasBody(request) && connection.waiting.length < this.#limits.pipelined
    if (!mayWait) return this.#close(connection, 'pipelined')
    connection.waiting.push(start)
  }

  /** Closes those whose client has taken nothing for too long of what waits for it. */
  closeUnread(): void {
    const now = performance.now()
    for (const connection of this.#all) {
      const { socket } = connection
      const taken = socket.bytesWritten - socket.writableLength
      if (socket.writableLength === 0 || taken !== connection.taken) {
        connection.taken = taken
        connection.takenAt = now
      } else if (now - connection.takenAt >= this.#limits.unreadMs) this.#close(connection, 'unreadMs')
    }
  }

  #answered(connection: Connection): void {
    connection.current = undefined
    if (connection.socket.destroyed) return
    this.#remove(connection)
    this.#insert(connection) // as the one that was used last
    connection.waiting.shift()?.()
  }

  #makeRoom(among: Set<Connection>, limit: 'perAddress' | 'total'): boolean {
    if (among.size < this.#limits[limit]) return true
    for (const connection of among) {
      if (isAnswering(connection)) continue
      this.#close(connection, limit)
      return true
    }
    this.#closed(limit)
    return false
  }

  #close(connection: Connection, limit: Limit): void {
    this.#closed(limit)
    this.#remove(connection)
    connection.waiting.length = 0
    ignoreRestOfPacket(connection.socket)
    connection.socket.destroy()
  }

  #insert(connection: Connection): void {
    this.#all.add(connection)
    if (connection.key === undefined) return
    const ofAddress = this.#byKey.get(connection.key)
    if (ofAddress) ofAddress.add(connection)
    else this.#byKey.set(connection.key, new Set([connection]))
  }

  #remove(connection: Connection): void {
    this.#all.delete(connection)
    if (connection.key === undefined) return
    const ofAddress = this.#byKey.get(connection.key)
    ofAddress?.delete(connection)
    if (ofAddress?.size === 0) this.#byKey.delete(connection.key)
  }
}

/** Not one that waits for its client: for a request, or for the rest of one. */
function isAnswering({ current }: Connection): boolean {
  return current !== undefined && current.complete
}

/**
 * Node goes on parsing the packet of a destroyed connection, and makes a response and an error for each request in it: 1,200 of them
 * take 20 ms. There is no documented way to stop it; where the parser is another one, this changes nothing.
 */
function ignoreRestOfPacket(socket: Socket & { parser?: { onIncoming?: unknown } | null }): void {
  if (typeof socket.parser?.onIncoming === 'function') socket.parser.onIncoming = () => NO_MORE_REQUESTS
}

/** What the parser is told of an upgraded connection. */
const NO_MORE_REQUESTS = 2
