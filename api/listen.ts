import type { Express } from 'express'
import { createServer, STATUS_CODES } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { problem, type ProblemCode } from '../platform/problem.ts'

/** Above any balancer's own limit (60 s), so that it never sends a request on a socket that we are closing. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000
const HEADERS_TIMEOUT_MS = 20_000
const REQUEST_TIMEOUT_MS = 30_000

/** What Node refuses before there is a request: in our format, too. */
const UNREADABLE: Record<string, ProblemCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

function answerUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const shown = problem(UNREADABLE[error.code ?? ''] ?? 'bad_request', 'The request cannot be read')
  const body = JSON.stringify(shown)
  const head = [
    `HTTP/1.1 ${shown.status} ${STATUS_CODES[shown.status]}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  // Ended by us alone: a client that never ends its side would hold the socket for ever.
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

export interface ListeningServer {
  port: number
  /** No new connections; idle ones are closed, open requests are answered, what is left after `graceMs` is cut. */
  drain(graceMs: number): Promise<void>
}

export async function listen(app: Express, port: number): Promise<ListeningServer> {
  const server = createServer(
    { keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS, headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS },
    app as Parameters<typeof createServer>[1] & Express,
  )
  server.on('clientError', answerUnreadable)
  server.on('checkExpectation', (request, response) => app(request, response)) // an Expect that we do not know changes nothing
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    async drain(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const cut = setTimeout(() => server.closeAllConnections(), graceMs)
      // An answered keep-alive connection turns idle only later: look again until none is left.
      const idle = setInterval(() => server.closeIdleConnections(), 100)
      server.closeIdleConnections()
      await closed
      clearTimeout(cut)
      clearInterval(idle)
    },
  }
}
