import type { Express } from 'express'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Above any balancer's own limit (60 s), so that it never sends a request on a socket that we are closing. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000
const HEADERS_TIMEOUT_MS = 20_000
const REQUEST_TIMEOUT_MS = 30_000

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
