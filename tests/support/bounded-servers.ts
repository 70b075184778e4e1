// Servers with the limits of the API's connections, and clients of them.
import type { RequestListener, Server } from 'node:http'
import { CONNECTION_LIMITS, createBoundedServer, listenOn, type ConnectionLimits } from '../../platform/http-server.ts'
import { rawClient, type RawClient } from './raw-client.ts'

/** A test file closes everything after each test with `closeAll`. */
export function boundedServers() {
  const opened: { servers: Server[]; clients: RawClient[] } = { servers: [], clients: [] }
  return {
    opened,

    async serve(handler: RequestListener, limits: Partial<ConnectionLimits> = {}, isProxy = (_address: string) => false): Promise<string> {
      const server = createBoundedServer(handler, { isProxy, limits: { ...CONNECTION_LIMITS, ...limits } })
      opened.servers.push(server)
      return `http://127.0.0.1:${await listenOn(server, { host: '127.0.0.1', port: 0 })}`
    },

    async client(url: string, sent: string | Buffer, reading: 'flowing' | 'paused' = 'flowing'): Promise<RawClient> {
      const made = await rawClient(url, sent, reading)
      opened.clients.push(made)
      return made
    },

    closeAll(): void {
      for (const { socket } of opened.clients.splice(0)) socket.destroy()
      for (const server of opened.servers.splice(0)) server.close().closeAllConnections()
    },
  }
}

export const POST_CHUNKED = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
export const GET = (path = '/'): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
export const answerAtOnce: RequestListener = (request, response) => void response.end(`answer to ${request.url}`)
