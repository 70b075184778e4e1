// What people on duty have to know first.
import type { Queryable } from '../platform/database.ts'

export interface OperationsOverview {
  /** Calls that became `stored` since midnight in India. */
  storedToday: number
  awaiting: number
  /** The call that waits for its recording for the longest time. */
  oldestWait: { callSid: string; since: Date } | null
  failing: { code: string; state: string; calls: number }[]
  /** Calls without a stored recording whose recording Exotel deletes first. */
  deletedSoonest: { callSid: string; state: string; errorCode: string | null; at: Date }[]
  lastReconciliation: Pick<
    ReconcilePassRow,
    'kind' | 'startedAt' | 'endedAt' | 'complete' | 'callsNew' | 'recordingsNew' | 'problem'
  > | null
  lastObjectCheck: Omit<ObjectCheckRow, 'id' | 'foreign' | 'surplus'> | null
  /** When recovery last started a call again. A pass without work leaves no trace. */
  lastRecovery: { at: Date; calls: number } | null
}

const SOONEST = 20

/**
 * One query after the other, because webhooks use the same connections.
 * @param retentionDays how long Exotel keeps a recording after its call
 */
export async function readOverview(database: Queryable, retentionDays: number): Promise<OperationsOverview> {
  const [counts] = await database.$queryRaw<{ storedToday: number; awaiting: number }[]>`
    SELECT (SELECT count(*)::int FROM calls WHERE recording_state = 'stored'
              AND recording_state_since >= date_trunc('day', now() AT TIME ZONE 'Asia/Kolkata') AT TIME ZONE 'Asia/Kolkata') AS "storedToday",
           (SELECT count(*)::int FROM calls WHERE recording_state = 'awaiting') AS awaiting`
  const [oldestWait = null] = await database.$queryRaw<{ callSid: string; since: Date }[]>`
    SELECT call_sid AS "callSid", recording_state_since AS since FROM calls WHERE recording_state = 'awaiting'
    ORDER BY recording_state_since LIMIT 1`
  const failing = await database.$queryRaw<OperationsOverview['failing']>`
    SELECT COALESCE(recording_error_code, 'unknown') AS code, recording_state AS state, count(*)::int AS calls FROM calls
    WHERE recording_state IN ('failed', 'quarantined') GROUP BY 1, 2 ORDER BY calls DESC, code`
  const deletedSoonest = await database.$queryRaw<OperationsOverview['deletedSoonest']>`
    SELECT call_sid AS "callSid", recording_state AS state, recording_error_code AS "errorCode",
           COALESCE(call_time, created_at) + make_interval(days => ${retentionDays}::int) AS at
    FROM calls WHERE recording_state IN ('awaiting', 'failed', 'quarantined')
      AND COALESCE(call_time, created_at) + make_interval(days => ${retentionDays}::int) > now()
    ORDER BY at, call_sid LIMIT ${SOONEST}::int`
  const [lastReconciliation = null] = await database.$queryRaw<NonNullable<OperationsOverview['lastReconciliation']>[]>`
    SELECT kind, ended_at AS "endedAt", started_at AS "startedAt", complete, calls_new AS "callsNew", recordings_new AS "recordingsNew", problem
    FROM reconcile_passes ORDER BY id DESC LIMIT 1`
  const [lastObjectCheck = null] = await database.$queryRaw<NonNullable<OperationsOverview['lastObjectCheck']>[]>`
    SELECT ended_at AS "endedAt", "full", rows, missing, objects, unknown, adopted, deleted FROM object_checks ORDER BY id DESC LIMIT 1`
  const [recovery] = await database.$queryRaw<{ at: Date | null; calls: number }[]>`
    SELECT max(received_at) AS at, count(*)::int AS calls FROM webhook_events
    WHERE source = 'recovery' AND received_at > now() - interval '1 hour'`
  const lastRecovery = recovery?.at ? { at: recovery.at, calls: recovery.calls } : null
  return { ...counts!, oldestWait, failing, deletedSoonest, lastReconciliation, lastObjectCheck, lastRecovery }
}

/** The newest passes through Exotel's list, and the newest checks of the bucket. */
export async function readMaintenance(database: Queryable, limit: number) {
  const passes = await database.$queryRaw<ReconcilePassRow[]>`
    SELECT id::text, kind, window_from AS "from", window_to AS "to", started_at AS "startedAt", ended_at AS "endedAt", complete, pages,
           calls_seen AS "callsSeen", calls_new AS "callsNew", recordings_new AS "recordingsNew", remark, problem
    FROM reconcile_passes ORDER BY reconcile_passes.id DESC LIMIT ${limit}::int`
  const checks = await database.$queryRaw<ObjectCheckRow[]>`
    SELECT id::text, "full", rows, missing, objects, unknown, adopted, deleted, "foreign", surplus, ended_at AS "endedAt"
    FROM object_checks ORDER BY object_checks.id DESC LIMIT ${limit}::int`
  return { passes, checks }
}

interface ReconcilePassRow {
  id: string
  kind: string
  from: Date
  to: Date
  startedAt: Date
  endedAt: Date | null
  complete: boolean
  pages: number
  callsSeen: number
  callsNew: number
  recordingsNew: number
  remark: string | null
  problem: string | null
}

interface ObjectCheckRow {
  id: string
  full: boolean
  rows: number
  missing: number
  objects: number
  unknown: number
  adopted: number
  deleted: number
  foreign: number
  surplus: number
  endedAt: Date
}
