// The open connections of one server, and the limits on what each may use.
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { hasBody, watchBody } from './body-pieces.ts'
import { ConnectionOwners, first, markAnswering, markWaiting, sizeOf, type Connection, type Owner } from './http-connection-owners.ts'
import { stopParsing } from './http-parser.ts'
import { closeBeforeBodyEnds } from './unread-body.ts'

export interface ConnectionLimits {
  /** Connections of one client address. */
  perAddress: number
  total: number
  /** Requests of one connection that may wait while an earlier request is processed. None of them may have a body. */
  pipelined: number
  /**
   * While bytes of a response wait, the client has to read at least `unreadBytes` in each `unreadMs`. A write counts once the client
   * has read all of it, so each of our writes has at most `unreadBytes`, or is one JSON text.
   */
  unreadMs: number
  unreadBytes: number
}

/** The limit because of which a connection was closed. */
type Limit = Exclude<keyof ConnectionLimits, 'unreadBytes'> | 'bodyPieces'

export class ConnectionPool {
  readonly #limits: ConnectionLimits
  readonly #closed: (limit: Limit) => void
  readonly #all = new Set<Connection>()
  readonly #owners = new ConnectionOwners()

  constructor(limits: ConnectionLimits, closed: (limit: Limit) => void) {
    this.#limits = limits
    this.#closed = closed
  }

  /** @returns undefined if the connection was closed at once because a limit is reached and no other connection may be closed for it */
  add(socket: Socket, key: string | undefined): Connection | undefined {
    const owner = this.#owners.find(key)
    if (!this.#ensureSlot(owner)) return void socket.destroy()
    const connection: Connection = { socket, owner, current: undefined, pipelined: [], unread: undefined, lastRead: undefined }
    this.#all.add(connection)
    this.#owners.add(connection)
    socket.once('close', () => this.#remove(connection))
    return connection
  }

  /**
   * Processes one request of a connection at a time. Node itself would start all requests of a packet, however many, and keep all
   * their responses until the first one is read. A request with a body may not wait, because Node would keep its body in memory.
   * Browsers and proxies do not pipeline such requests.
   */
  handleInTurn(connection: Connection, request: IncomingMessage, response: ServerResponse, handler: RequestListener): void {
    const start = (): void => {
      connection.current = response
      if (hasBody(request)) markWaiting(connection)
      else markAnswering(connection)
      response.once('close', () => this.#answered(connection))
      handler(request, response)
    }
    if (hasBody(request)) {
      const keepOpen = closeBeforeBodyEnds(request, response)
      watchBody(request, {
        onEnd: () => {
          keepOpen()
          if (connection.current?.req === request) markAnswering(connection)
        },
        onTooMany: () => this.#close(connection, 'bodyPieces'),
      })
    }
    if (connection.socket.destroyed) return
    if (!connection.current) return start()
    const mayWait = !hasBody(request) && connection.pipelined.length < this.#limits.pipelined
    if (!mayWait) return this.#close(connection, 'pipelined')
    connection.pipelined.push(start)
  }

  /** Closes connections whose clients read their responses too slowly (see `ConnectionLimits.unreadMs`). */
  closeUnread(): void {
    const now = performance.now()
    const { unreadMs, unreadBytes } = this.#limits
    for (const connection of this.#all) {
      const { socket, unread } = connection
      const taken = socket.bytesWritten - socket.writableLength
      if (socket.writableLength === 0) connection.unread = undefined
      else if (!unread || taken - unread.taken >= unreadBytes) connection.unread = { since: now, taken }
      else if (now - unread.since >= unreadMs) this.#close(connection, 'unreadMs')
    }
  }

  /**
   * Whether the connection has a request that has arrived completely, or whose response has started. Further bytes then belong to
   * another request.
   */
  isAnswering({ current }: Connection): boolean {
    return current !== undefined && (current.headersSent || current.req.complete)
  }

  /** For the shutdown of the server: closes connections without a request that have received no bytes since the last call, or never. */
  closeQuiet(): void {
    for (const connection of this.#all) {
      const { socket, current, lastRead } = connection
      connection.lastRead = socket.bytesRead
      const isQuiet = socket.bytesRead === 0 || socket.bytesRead === lastRead
      if (!current && isQuiet && socket.writableLength === 0) socket.destroy()
    }
  }

  #answered(connection: Connection): void {
    connection.current = undefined
    markWaiting(connection)
    if (connection.socket.writable) connection.pipelined.shift()?.()
  }

  #ensureSlot(owner: Owner): boolean {
    const { perAddress, total } = this.#limits
    if (owner.key !== undefined && sizeOf(owner) >= perAddress && !this.#evict(first(owner.waiting), 'perAddress')) return false
    return this.#all.size < total || this.#evict(this.#evictionCandidate(owner), 'total')
  }

  /**
   * Closes a connection of the address with the most connections, so that some addresses together cannot lock out another one. A
   * proxy's connection with a request in progress is never closed, because a proxy's connections belong to all its clients.
   */
  #evictionCandidate(newcomer: Owner): Connection | undefined {
    const largest = this.#owners.largestAddress()
    const held = newcomer.key === undefined ? 0 : sizeOf(newcomer)
    if (largest && sizeOf(largest) > held) return first(largest.waiting) ?? first(largest.answering)
    return held > 0 ? first(newcomer.waiting) : first(this.#owners.find(undefined).waiting)
  }

  #evict(connection: Connection | undefined, limit: Limit): boolean {
    if (connection) this.#close(connection, limit)
    else this.#closed(limit)
    return connection !== undefined
  }

  #close(connection: Connection, limit: Limit): void {
    this.#closed(limit)
    this.#remove(connection)
    connection.pipelined.length = 0
    stopParsing(connection.socket)
    connection.socket.destroy()
  }

  #remove(connection: Connection): void {
    this.#all.delete(connection)
    this.#owners.remove(connection)
  }
}
