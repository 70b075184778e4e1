import { CancelledFailure } from '@temporalio/common'

/**
 * True where the workflow, or a person, cancelled the activity. An attempt is also stopped because it timed out, its
 * activity is paused or no longer known, or its worker shuts down: then a successor may be at work already, and what both
 * share must stay. The SDK puts the reason that the server gave into the failure's message.
 */
export function isCancelledByWorkflow({ aborted, reason }: AbortSignal): boolean {
  return aborted && reason instanceof CancelledFailure && reason.message === 'CANCELLED'
}
