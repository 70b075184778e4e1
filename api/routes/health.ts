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

/**
 * `/health` is always 200 and tells how each dependency is. `/health/ready` is 503 only while starting or draining: an outage
 * behind us must not make the balancer cut the callers of Passthru flows off.
 */
export function healthRoutes({ database, relay, lifecycle }: HealthDependencies): Router {
  const router = Router()
  router.get('/', async (_request, response) => {
    const recordings = await withDeadline(pipelineHealth(database), DEADLINE_MS).catch(() => undefined)
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
