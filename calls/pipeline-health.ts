import type { Queryable } from '../platform/database.ts'
import { gauge } from '../platform/metrics.ts'

export interface PipelineHealth {
  /** Events that the relay has not sent to Temporal yet; those that Temporal refused; those that got no response. */
  unrelayed: number
  deferred: number
  withoutResponse: number
  oldestUnrelayedAt: Date | null
  awaiting: number
  failed: number
  quarantined: number
  lastStoredAt: Date | null
  /** When the last complete pass through Exotel's list of calls ended. */
  lastReconciledAt: Date | null
  /** Calls have waited for more than 75 min, and no recording was stored in that time. */
  stalled: boolean
}

/** The search for a recording may take an hour. A longer time without a stored recording needs attention. */
const STALLED_AFTER_MINUTES = 75

export async function pipelineHealth(database: Queryable): Promise<PipelineHealth> {
  const rows = await database.$queryRaw<PipelineHealth[]>`
    WITH relay AS (
      SELECT count(*)::int AS unrelayed, count(*) FILTER (WHERE relay_tries > 0)::int AS deferred,
             count(*) FILTER (WHERE relay_waits > 0)::int AS without_response, min(received_at) AS oldest
      FROM webhook_events WHERE relay_state = 'pending'
    ), state AS (
      SELECT count(*) FILTER (WHERE recording_state = 'awaiting')::int AS awaiting,
             count(*) FILTER (WHERE recording_state = 'failed')::int AS failed,
             count(*) FILTER (WHERE recording_state = 'quarantined')::int AS quarantined,
             count(*) FILTER (WHERE recording_state = 'awaiting'
                              AND recording_state_since < now() - make_interval(mins => ${STALLED_AFTER_MINUTES})) AS late
      FROM calls WHERE recording_state IN ('awaiting', 'failed', 'quarantined')
    ), stored AS (
      SELECT max(recording_state_since) AS last FROM calls WHERE recording_state = 'stored'
    ), reconciled AS (
      SELECT max(ended_at) AS last FROM reconcile_passes WHERE complete AND kind IN ('regular', 'nightly')
    )
    SELECT unrelayed, deferred AS "deferred", without_response AS "withoutResponse", oldest AS "oldestUnrelayedAt", awaiting, failed, quarantined, stored.last AS "lastStoredAt", reconciled.last AS "lastReconciledAt",
           late > 0 AND COALESCE(stored.last < now() - make_interval(mins => ${STALLED_AFTER_MINUTES}), true) AS stalled
    FROM relay, state, stored, reconciled`
  return rows[0]!
}

const recordings = gauge('recordings', 'Calls by the state of their recording', ['state'])
const unrelayed = gauge('relay_pending_events', 'Events that the relay has not sent to Temporal yet')
const reconciledAt = gauge('reconciled_timestamp_seconds', 'When the last complete pass through the list of calls ended')
const stalled = gauge('recordings_stalled', '1 while calls wait for their recordings and none was stored for 75 minutes')

/** Sets the metrics from the pipeline's health. */
export async function measurePipeline(database: Queryable): Promise<void> {
  const health = await pipelineHealth(database)
  for (const state of ['awaiting', 'failed', 'quarantined'] as const) recordings.set({ state }, health[state])
  unrelayed.set(health.unrelayed)
  if (health.lastReconciledAt) reconciledAt.set(health.lastReconciledAt.getTime() / 1000)
  stalled.set(health.stalled ? 1 : 0)
}
