import { z } from 'zod'
import { pipelineHealth } from '../../calls/pipeline-health.ts'
import type { Database } from '../../platform/database.ts'
import { createProbe } from '../../platform/probe.ts'
import type { ConnectionChecks } from '../connection-checks.ts'
import { RELAY_PROBLEMS, type Relay } from '../../relay/relay.ts'
import { operation, type Operation } from '../operation.ts'

export interface HealthDependencies {
  database: Database
  relay: Pick<Relay, 'state'>
  checks: ConnectionChecks
  lifecycle: { state: 'starting' | 'serving' | 'draining' }
}

const moment = z.iso.datetime()
const count = z.int().nonnegative()
const availability = z.enum(['ok', 'unavailable'])
const health = z.strictObject({
  status: z.enum(['ok', 'degraded']),
  database: availability,
  temporal: availability,
  relay: z.strictObject({
    state: z.enum(['relaying', 'paused']),
    since: moment,
    problem: z.enum(RELAY_PROBLEMS).optional(),
    problemAt: moment.optional(),
  }),
  recordings: z
    .strictObject({
      unrelayed: count,
      deferred: count,
      withoutResponse: count,
      oldestUnrelayedAt: moment.nullable(),
      awaiting: count,
      failed: count,
      quarantined: count,
      lastStoredAt: moment.nullable(),
      lastReconciledAt: moment.nullable(),
      stalled: z.boolean(),
    })
    .nullable(),
})
const readiness = z.strictObject({ status: z.enum(['starting', 'serving', 'draining']) })

/**
 * `/health` always responds 200 and reports the state of each dependency. `/health/ready` responds 503 until this process has reached a
 * PostgreSQL with all migrations of its build, and while it drains. A later outage of a dependency does not change it, because the load
 * balancer must not cut off the callers of Passthru flows.
 */
export function healthOperations({ database, relay, checks, lifecycle }: HealthDependencies): Operation[] {
  const probeDatabase = createProbe('database', () => pipelineHealth(database))
  const probeTemporal = createProbe('temporal', checks.temporal)
  const open = { method: 'get', tag: 'health', security: 'none', guards: [], problems: [] } satisfies Partial<Operation>
  return [
    operation({
      ...open,
      path: '/health',
      summary: 'State of the service and of its dependencies',
      statuses: [200],
      answer: health,
      async handle() {
        const [recordings, temporal] = await Promise.all([probeDatabase(), probeTemporal()])
        const relaying = relay.state()
        const allRelayed = recordings && relaying.state === 'relaying' && recordings.deferred === 0 && recordings.withoutResponse === 0
        const healthy = allRelayed && temporal && !recordings.stalled
        return {
          status: healthy ? ('ok' as const) : ('degraded' as const),
          database: recordings ? ('ok' as const) : ('unavailable' as const),
          temporal: temporal ? ('ok' as const) : ('unavailable' as const),
          relay: relaying,
          recordings: recordings
            ? {
                ...recordings,
                oldestUnrelayedAt: recordings.oldestUnrelayedAt?.toISOString() ?? null,
                lastStoredAt: recordings.lastStoredAt?.toISOString() ?? null,
                lastReconciledAt: recordings.lastReconciledAt?.toISOString() ?? null,
              }
            : null,
        }
      },
    }),
    operation({
      ...open,
      path: '/health/ready',
      summary: 'Whether this process should receive requests',
      statuses: [200, 503],
      answer: readiness,
      async handle(_body, _request, response) {
        if (lifecycle.state !== 'serving') response.status(503)
        return { status: lifecycle.state }
      },
    }),
  ]
}
