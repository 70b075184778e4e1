// Health and metrics for operators and orchestrators, on a port of their own.
import { createBoundedServer, listenOn } from './http-server.ts'
import { registry } from './metrics.ts'

export interface OperationsRoutes {
  /** 503 where `ready` is false. States, counts and codes only: error texts, hosts and paths belong to the log. */
  health: () => Promise<{ ready: boolean } & Record<string, unknown>>
  /** Brings figures up to date that are looked up, not counted. */
  measure?: () => Promise<void>
}

/** However often /metrics is asked, figures are looked up this often. */
const MEASURED_EVERY_MS = 5000

/** `/health`, `/health/ready` and `/metrics`; answers nothing else. `pid` says which process answers. */
export async function serveOperations(
  address: { host: string; port: number },
  { health, measure }: OperationsRoutes,
): Promise<{ port: number; close: () => void }> {
  const measureSometimes = atMostEvery(MEASURED_EVERY_MS, async () => measure?.())
  const server = createBoundedServer((request, response) => {
    const send = (status: number, type: string, body: string): void => void response.writeHead(status, { 'content-type': type }).end(body)
    const serve = async (): Promise<void> => {
      if (request.url === '/metrics') {
        await measureSometimes()
        return send(200, registry.contentType, await registry.metrics())
      }
      if (request.url !== '/health' && request.url !== '/health/ready') return send(404, 'text/plain', 'not found\n')
      const state = await health()
      send(request.url === '/health/ready' && !state.ready ? 503 : 200, 'application/json', JSON.stringify({ ...state, pid: process.pid }))
    }
    serve().catch(() => send(500, 'text/plain', 'failed\n'))
  })
  return { port: await listenOn(server, address), close: () => server.close(() => {}).closeAllConnections() }
}

/** Those who ask meanwhile get what the last run brought. */
function atMostEvery(ms: number, work: () => Promise<void>): () => Promise<void> {
  let last: { at: number; done: Promise<void> } | undefined
  return () => {
    if (!last || performance.now() - last.at > ms) last = { at: performance.now(), done: work() }
    return last.done
  }
}
