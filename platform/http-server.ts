// An HTTP server whose clients cost a bounded amount of memory and time, whatever they send or do not read.
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { clientKey } from './client-address.ts'
import type { Connection } from './connection-owners.ts'
import { ConnectionPool, type ConnectionLimits } from './connection-pool.ts'
import { counter } from './metrics.ts'

export type { ConnectionLimits } from './connection-pool.ts'

/** Above any balancer's own limit (60 s), so that it never sends a request on a socket that we are closing. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000
const HEADERS_TIMEOUT_MS = 20_000
const REQUEST_TIMEOUT_MS = 30_000
/** Node looks only this often whether a timeout has passed; its default of 30 s would more than double them. */
const TIMEOUT_CHECK_MS = 2000

/** What a handler writes before it has to wait for the client; the same with each version of Node. */
const WRITE_BUFFER_BYTES = 16 * 1024

/**
 * Exotel and balancers need a few hundred connections at most; a waiting one costs about 20 kB. A phone on a bad line takes some kB a
 * second.
 */
export const CONNECTION_LIMITS: ConnectionLimits = {
  perAddress: 1000,
  total: 4000,
  pipelined: 16,
  unreadMs: 30_000,
  unreadBytes: WRITE_BUFFER_BYTES,
}

const closedConnections = counter('connections_closed_total', 'Connections closed because a limit was reached', ['limit'])

export interface BoundedServerOptions {
  /** True for addresses of trusted proxies, through which all clients come: they have no limit of their own. */
  isProxy?: (address: string) => boolean
  limits?: ConnectionLimits
  /** Answers what Node cannot read as a request, and ends the connection. Absent: Node does. */
  answerUnreadable?: (error: NodeJS.ErrnoException, socket: Duplex) => void
}

export interface BoundedServer extends Server {
  /**
   * Closes connections that wait for a request. `closeIdleConnections` does not close those that never sent one. To be called
   * repeatedly while the server ends: a part of a request closes the connection once no more of it arrives between two calls.
   */
  closeQuietConnections: () => void
}

/**
 * Calls `handler` for one request of a connection at a time. Closes connections that pipeline too much or a request with a body,
 * that send a body in too many pieces or behind its answer, that take too little of their answer, and, beyond the numbers of `limits`, those of the address
 * that holds the most.
 */
export function createBoundedServer(handler: RequestListener, options: BoundedServerOptions = {}): BoundedServer {
  const { isProxy = () => false, limits = CONNECTION_LIMITS, answerUnreadable } = options
  const server = createServer({
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    highWaterMark: WRITE_BUFFER_BYTES,
  })
  const pool = new ConnectionPool(limits, (limit) => closedConnections.inc({ limit }))
  const connections = new WeakMap<Socket, Connection>()

  server.on('connection', (socket) => {
    const address = socket.remoteAddress ?? ''
    const connection = pool.add(socket, isProxy(address) ? undefined : clientKey(address, undefined))
    if (connection) connections.set(socket, connection)
  })
  const takeTurn = (request: IncomingMessage, response: ServerResponse): void => {
    const connection = connections.get(request.socket)
    if (connection) pool.handleInTurn(connection, request, response, handler)
  }
  server.on('request', takeTurn)
  server.on('checkContinue', takeTurn) // whoever reads the body asks for it
  server.on('checkExpectation', takeTurn) // an Expect that we do not know changes nothing

  if (answerUnreadable)
    server.on('clientError', (error, socket) => {
      const connection = connections.get(socket as Socket)
      if (connection && pool.isAnswering(connection)) socket.destroy()
      else answerUnreadable(error, socket)
    })

  const watch = setInterval(() => pool.closeUnread(), limits.unreadMs / 10).unref()
  server.on('close', () => clearInterval(watch))
  return Object.assign(server, { closeQuietConnections: () => pool.closeQuiet() })
}

/** Connections that wait to be accepted. With Node's 511, a burst makes other clients wait 1 s until they ask again. */
const BACKLOG = 4096
/** Every IPv4 and IPv6 address, or every IPv4 address where the machine has no IPv6. */
const ALL_ADDRESSES = '::'

/** @returns the port, which differs from the one asked for where that is 0 */
export async function listenOn(server: Server, { host, port }: { host: string; port: number }): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // Only without a host does Node fall back to IPv4.
    server.listen({ port, backlog: BACKLOG, ...(host !== ALL_ADDRESSES && { host }) }, resolve)
  })
  return (server.address() as AddressInfo).port
}
