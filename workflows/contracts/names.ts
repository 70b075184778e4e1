// Names that processes agree on: task queues, signals, queries, search attributes. Renaming one breaks open runs.

/** Workflow tasks, and `updateCall`. */
export const RECORDINGS_QUEUE = 'recordings'
export const DOWNLOADS_QUEUE = 'downloads'
/** Every request to Exotel's API: its server-side rate limit guards the account's. */
export const EXOTEL_API_QUEUE = 'exotel-api'

export const RECORDING_WORKFLOW = 'RecordingWorkflow'
export const RECOVERY_WORKFLOW = 'RecoveryWorkflow'
export const RECOVERY_SCHEDULE = 'recovery'
export const CALL_NEWS_SIGNAL = 'callNews'
export const STATUS_QUERY = 'status'

export const CALL_SID_ATTRIBUTE = 'CallSid'
export const RECORDING_STATE_ATTRIBUTE = 'RecordingState'
export const FAILURE_CODE_ATTRIBUTE = 'FailureCode'
export const SEARCH_ATTRIBUTES = [CALL_SID_ATTRIBUTE, RECORDING_STATE_ATTRIBUTE, FAILURE_CODE_ATTRIBUTE]

/** One workflow a call: its id is what makes starts idempotent. */
export function recordingWorkflowId(callSid: string): string {
  return `recording-${callSid}`
}
