import { Router } from 'express'
import { pipelineHealth } from '../../calls/pipeline-health.ts'
import type { Database } from '../../platform/database.ts'
import type { Relay } from '../relay.ts'
import { withDeadline } from '../deadline.ts'

export interface HealthDependencies {
  database: Database
  relay: Pick<Relay, 'state'>
  lifecycle: { state: 'starting' | 'serving' | 'draining' }
}

const DEADLINE_MS = 1500
/** However often it is asked, the database is asked this often. */
const CACHED_MS = 1000

/**
 * `/health` is always 200 and tells how each dependency is. `/health/ready` is 503 only while starting or draining: an outage
 * behind us must not make the balancer cut the callers of Passthru flows off.
 */
export function healthRoutes({ database, relay, lifecycle }: HealthDependencies): Router {
  const router = Router()
  const look = once(CACHED_MS, () => withDeadline(pipelineHealth(database), DEADLINE_MS).catch(() => undefined))
  router.get('/', async (_request, response) => {
    const recordings = await look()
    const temporal = relay.state()
    const healthy = recordings !== undefined && temporal.state === 'relaying' && !recordings.stalled && recordings.setAside === 0
    response.json({
      status: healthy ? 'ok' : 'degraded',
      database: recordings ? 'ok' : 'unavailable',
      temporal: temporal.state === 'relaying' ? 'ok' : 'unavailable',
      relay: temporal,
      recordings: recordings ?? null,
    })
  })
  router.get('/ready', (_request, response) => {
    response.status(lifecycle.state === 'serving' ? 200 : 503).json({ status: lifecycle.state })
  })
  return router
}

/** One look for all who ask within `ms`. */
function once<T>(ms: number, look: () => Promise<T>): () => Promise<T> {
  let last: { at: number; result: Promise<T> } | undefined
  return () => {
    if (!last || performance.now() - last.at > ms) last = { at: performance.now(), result: look() }
    return last.result
  }
}
