// Names that processes share: task queues, signals, queries, search attributes. Renaming one breaks open runs.

/** Workflow tasks, and all activities that need neither a spool nor Exotel's API. */
export const RECORDINGS_QUEUE = 'recordings'
export const DOWNLOADS_QUEUE = 'downloads'
/** Requests to Exotel's API. The rate limit of this task queue is enforced by Temporal and keeps the account below Exotel's limit. */
export const EXOTEL_API_QUEUE = 'exotel-api'

/** Computations of waveform peaks. They have their own few slots, so that transfers and updates never wait for them. */
export const PEAKS_QUEUE = 'peaks'

/** Requests of the backfill to Exotel's API. This queue has a lower rate limit. */
export const BACKFILL_QUEUE = 'backfill'

/**
 * The task queues of one worker's spool. Uploads and validations run on `transfers`, which has the name of the spool. Resumed downloads
 * have their own slots, so that a slow source does not delay uploads. `control` runs short activities only, so that it always responds.
 */
export function spoolQueues(queue: string): { transfers: string; downloads: string; control: string } {
  return { transfers: queue, downloads: `${queue}-downloads`, control: `${queue}-control` }
}

export const RECORDING_WORKFLOW = 'RecordingWorkflow'
export const RECOVERY_WORKFLOW = 'RecoveryWorkflow'
export const RECONCILE_WORKFLOW = 'ReconcileWorkflow'
export const LINK_SWEEP_WORKFLOW = 'LinkSweepWorkflow'
export const OBJECT_CHECK_WORKFLOW = 'ObjectCheckWorkflow'
export const BACKFILL_WORKFLOW = 'BackfillWorkflow'
export const SESSION_CLEANUP_WORKFLOW = 'SessionCleanupWorkflow'
export const BULK_RETRY_WORKFLOW = 'BulkRetryWorkflow'
export const PEAKS_WORKFLOW = 'PeaksWorkflow'
export const RECORDING_PEAKS_WORKFLOW = 'RecordingPeaksWorkflow'
export const SCHEDULES = {
  recovery: 'recovery',
  reconcile: 'reconcile',
  reconcileNightly: 'reconcile-nightly',
  linkSweep: 'link-sweep',
  objectCheck: 'object-check',
  sessionCleanup: 'session-cleanup',
  peaks: 'peaks',
}
export const BACKFILL_WORKFLOW_ID = 'backfill'

export const CALL_UPDATED_SIGNAL = 'callUpdated'
export const STATUS_QUERY = 'status'

export const CALL_SID_ATTRIBUTE = 'CallSid'
export const RECORDING_STATE_ATTRIBUTE = 'RecordingState'
export const FAILURE_CODE_ATTRIBUTE = 'FailureCode'
export const SEARCH_ATTRIBUTES = [CALL_SID_ATTRIBUTE, RECORDING_STATE_ATTRIBUTE, FAILURE_CODE_ATTRIBUTE]

/** At most one computation for listeners of each recording is open. */
export function recordingPeaksWorkflowId(recordingId: string): string {
  return `recording-peaks-${recordingId}`
}

/** Each call has one workflow. The fixed id makes its start idempotent. */
export function recordingWorkflowId(callSid: string): string {
  return `recording-${callSid}`
}

/** @param id the id of a row of `bulk_retries` */
export function bulkRetryWorkflowId(id: string): string {
  return `bulk-retry-${id}`
}
