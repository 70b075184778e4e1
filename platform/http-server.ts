// An HTTP server in which each client uses a bounded amount of memory and time, whatever it sends or does not read.
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { clientKey } from './client-address.ts'
import type { Connection } from './http-connection-owners.ts'
import { ConnectionPool, type ConnectionLimits } from './http-connections.ts'
import { counter } from './metrics.ts'

export type { ConnectionLimits } from './http-connections.ts'

/** Longer than the idle timeout of load balancers (60 s), so that they never send a request on a connection that we are closing. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000
const HEADERS_TIMEOUT_MS = 20_000
const REQUEST_TIMEOUT_MS = 30_000
/** The interval at which Node checks timeouts. With its default of 30 s, they could take twice as long. */
const TIMEOUT_CHECK_MS = 2000

/** How much a handler can write before it has to wait for the client. Set explicitly because Node's default depends on its version. */
const WRITE_BUFFER_BYTES = 16 * 1024

/**
 * Exotel and load balancers need at most a few hundred connections. A waiting connection uses about 20 kB. A phone with a bad
 * connection reads a few kB per second.
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
  /** True for addresses of trusted proxies. They have no limit per address because all clients connect through them. */
  isProxy?: (address: string) => boolean
  limits?: ConnectionLimits
  /** Responds to bytes that are not a valid HTTP request and closes the connection. Default: Node's own response. */
  answerUnreadable?: (error: NodeJS.ErrnoException, socket: Duplex) => void
}

export interface BoundedServer extends Server {
  /**
   * Closes connections that wait for a request. `closeIdleConnections` does not close those that never sent one. Call it repeatedly
   * during shutdown: a connection with an incomplete request is closed if no bytes arrive between two calls.
   */
  closeQuietConnections: () => void
}

/**
 * Calls `handler` for one request of a connection at a time. Closes a connection that pipelines too many requests or a request with a
 * body, sends a body in too many pieces or after its response, or reads its response too slowly. If there are more connections than
 * `limits` allow, connections of the address with the most connections are closed.
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
  server.on('checkContinue', takeTurn) // the handler sends 100 Continue when it reads the body
  server.on('checkExpectation', takeTurn) // an unknown Expect header is ignored

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

/** Length of the queue of connections to accept. With Node's default of 511, clients in a burst wait 1 s for a retransmission. */
const BACKLOG = 4096
/** All IPv4 and IPv6 addresses, or all IPv4 addresses if the machine has no IPv6. */
const ALL_ADDRESSES = '::'

/** @returns the port of the server. It differs from the requested one if that is 0 */
export async function listenOn(server: Server, { host, port }: { host: string; port: number }): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // Node falls back to IPv4 only if no host is given.
    server.listen({ port, backlog: BACKLOG, ...(host !== ALL_ADDRESSES && { host }) }, resolve)
  })
  return (server.address() as AddressInfo).port
}
