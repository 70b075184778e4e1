import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export type Answer = (request: IncomingMessage, response: ServerResponse) => unknown

export interface ScriptedServer {
  url: string
  requests: { method: string; url: string; headers: IncomingMessage['headers'] }[]
  /** Each answer handles one request; the last one handles all further requests. */
  script(...answers: Answer[]): void
  close(): Promise<void>
}

/** Starts an HTTP server that responds as a test defines. */
export async function startScriptedServer(): Promise<ScriptedServer> {
  let answers: Answer[] = []
  const requests: ScriptedServer['requests'] = []
  const server: Server = createServer((request, response) => {
    requests.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers })
    const answer = answers.length > 1 ? answers.shift()! : answers[0]
    if (answer) void Promise.resolve(answer(request, response)).catch(() => response.destroy())
    else response.writeHead(500).end()
  })
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    script(...next) {
      answers = next
      requests.length = 0
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
