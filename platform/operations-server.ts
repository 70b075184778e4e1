// Health and metrics for operators and orchestrators, on a separate port.
import { createBoundedServer, listenOn } from './http-server.ts'
import { registry } from './metrics.ts'

export interface OperationsRoutes {
  /**
   * The body of `/health/ready`, which responds with 503 if `ready` is false. It is what the process knows now: a probe that waited for a
   * dependency would time out when the dependency does not respond.
   */
  readiness: () => { ready: boolean } & Record<string, unknown>
  /** Further fields of `/health`. Only states, counts and codes; error texts, hosts and paths appear only in the log. */
  health: () => Promise<Record<string, unknown>>
  /** Updates metrics that are queried, not counted. */
  measure?: () => Promise<void>
}

/** Queried metrics are updated at most this often, however often /metrics is requested. */
const MEASURED_EVERY_MS = 5000

/** Serves `/health`, `/health/ready` and `/metrics`, and nothing else. `pid` in the health body identifies the process. */
export async function serveOperations(
  address: { host: string; port: number },
  { readiness, health, measure }: OperationsRoutes,
): Promise<{ port: number; close: () => void }> {
  const measureSometimes = atMostEvery(MEASURED_EVERY_MS, async () => measure?.())
  const server = createBoundedServer((request, response) => {
    const send = (status: number, type: string, body: string): void => void response.writeHead(status, { 'content-type': type }).end(body)
    const serve = async (): Promise<void> => {
      if (request.url === '/metrics') {
        await measureSometimes()
        return send(200, registry.contentType, await registry.metrics())
      }
      const state = { ...readiness(), pid: process.pid }
      if (request.url === '/health/ready') return send(state.ready ? 200 : 503, 'application/json', JSON.stringify(state))
      if (request.url === '/health') return send(200, 'application/json', JSON.stringify({ ...state, ...(await health()) }))
      send(404, 'text/plain', 'not found\n')
    }
    serve().catch(() => send(500, 'text/plain', 'failed\n'))
  })
  return { port: await listenOn(server, address), close: () => server.close(() => {}).closeAllConnections() }
}

/** Calls within `ms` of the last run get the result of that run. */
function atMostEvery(ms: number, work: () => Promise<void>): () => Promise<void> {
  let last: { at: number; done: Promise<void> } | undefined
  return () => {
    if (!last || performance.now() - last.at > ms) last = { at: performance.now(), done: work() }
    return last.done
  }
}
