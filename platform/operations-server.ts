// Health and metrics for operators and orchestrators, on a port of their own.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { registry } from './metrics.ts'

export interface OperationsRoutes {
  /** 503 where `ready` is false. */
  health: () => Promise<{ ready: boolean } & Record<string, unknown>>
  /** Brings figures up to date that are looked up, not counted. */
  measure?: () => Promise<void>
}

/** `/health`, `/health/ready` and `/metrics`; answers nothing else. */
export async function serveOperations(port: number, { health, measure }: OperationsRoutes): Promise<{ port: number; close: () => void }> {
  const server: Server = createServer((request, response) => {
    const send = (status: number, type: string, body: string): void => void response.writeHead(status, { 'content-type': type }).end(body)
    const serve = async (): Promise<void> => {
      if (request.url === '/metrics') {
        await measure?.()
        return send(200, registry.contentType, await registry.metrics())
      }
      if (request.url !== '/health' && request.url !== '/health/ready') return send(404, 'text/plain', 'not found\n')
      const state = await health()
      send(request.url === '/health/ready' && !state.ready ? 503 : 200, 'application/json', JSON.stringify(state))
    }
    serve().catch(() => send(500, 'text/plain', 'failed\n'))
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, resolve))
  return { port: (server.address() as AddressInfo).port, close: () => server.close(() => {}).closeAllConnections() }
}
