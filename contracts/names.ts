// Names that processes agree on: task queues, signals, queries, search attributes. Renaming one breaks open runs.

/** Workflow tasks, and `updateCall`. */
export const RECORDINGS_QUEUE = 'recordings'
export const DOWNLOADS_QUEUE = 'downloads'
/** Every request to Exotel's API: its server-side rate limit guards the account's. */
export const EXOTEL_API_QUEUE = 'exotel-api'

/** Backfill's requests to Exotel's API, slower than all others. */
export const BACKFILL_QUEUE = 'backfill'

/**
 * The queues of one worker's spool. Uploads and validations run on the first, named by the spool itself; resumed downloads have slots of
 * their own, so that a slow source holds up no upload; `control` serves what takes a moment, so that it always answers.
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
export const SCHEDULES = {
  recovery: 'recovery',
  reconcile: 'reconcile',
  reconcileNightly: 'reconcile-nightly',
  linkSweep: 'link-sweep',
  objectCheck: 'object-check',
  sessionCleanup: 'session-cleanup',
}
export const BACKFILL_WORKFLOW_ID = 'backfill'

export const CALL_UPDATED_SIGNAL = 'callUpdated'
export const STATUS_QUERY = 'status'

export const CALL_SID_ATTRIBUTE = 'CallSid'
export const RECORDING_STATE_ATTRIBUTE = 'RecordingState'
export const FAILURE_CODE_ATTRIBUTE = 'FailureCode'
export const SEARCH_ATTRIBUTES = [CALL_SID_ATTRIBUTE, RECORDING_STATE_ATTRIBUTE, FAILURE_CODE_ATTRIBUTE]

/** One workflow a call: its id is what makes starts idempotent. */
export function recordingWorkflowId(callSid: string): string {
  return `recording-${callSid}`
}
