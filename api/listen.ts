import type { Express } from 'express'
import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { createBoundedServer, listenOn } from '../platform/http-server.ts'
import { problem, type ProblemCode } from '../platform/http-problems.ts'

/** Problem codes for the errors that Node reports before there is a request. */
const UNREADABLE: Record<string, ProblemCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

function answerUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const shown = problem(UNREADABLE[error.code ?? ''] ?? 'bad_request', 'The request cannot be read')
  const requestId = randomUUID()
  const body = JSON.stringify({ ...shown.toJSON(), requestId })
  const head = [
    `HTTP/1.1 ${shown.status} ${STATUS_CODES[shown.status]}`,
    'Content-Type: application/problem+json',
    `X-Request-Id: ${requestId}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  // Destroys the socket after the response: a client that never ends its side would keep it open forever.
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

/** While the server drains, a connection with an incomplete request is closed if no byte arrives for this time. */
const DRAIN_POLL_MS = 100

export interface ListeningServer {
  port: number
  /** Accepts no new connections, closes idle and silent ones, answers open requests, and closes all that are left after `graceMs`. */
  drain(graceMs: number): Promise<void>
}

/** Serves the app. `platform/http-server.ts` limits the resources that one client can use. */
export async function listen(app: Express, address: { host: string; port: number }): Promise<ListeningServer> {
  const isTrusted = app.get('trust proxy fn') as (address: string, hop: number) => boolean
  const server = createBoundedServer((request, response) => app(request, response), {
    isProxy: (peer) => isTrusted(peer, 0),
    answerUnreadable,
  })
  const port = await listenOn(server, address)
  return {
    port,
    async drain(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const cut = setTimeout(() => server.closeAllConnections(), graceMs)
      // A keep-alive connection becomes idle some time after its response, so they are checked until none is left.
      const idle = setInterval(() => {
        server.closeIdleConnections()
        server.closeQuietConnections()
      }, DRAIN_POLL_MS)
      server.closeIdleConnections()
      await closed
      clearTimeout(cut)
      clearInterval(idle)
    },
  }
}
