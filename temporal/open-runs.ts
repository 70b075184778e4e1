// Queries Temporal for open runs of RecordingWorkflow.
import type { Client } from '@temporalio/client'
import { WorkflowNotFoundError } from '@temporalio/common'
import type { CallSid } from '../contracts/call-sid.ts'
import { RECORDING_WORKFLOW, recordingWorkflowId } from '../contracts/names.ts'

const DEADLINE_MS = 10_000

/** Whether an open run owns the call. False if the run was terminated, timed out, was deleted or never started. */
export async function isRunOpen(temporal: Client, callSid: CallSid): Promise<boolean> {
  const describe = () => temporal.workflow.getHandle(recordingWorkflowId(callSid)).describe()
  try {
    return (await temporal.withDeadline(Date.now() + DEADLINE_MS, describe)).status.name === 'RUNNING'
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false
    throw error
  }
}

/**
 * Requests that the open run of a call ends: it writes `Cancelled` to the rows and then fails. A second request changes nothing.
 * @returns false if there is no open run
 */
export async function cancelRun(temporal: Client, callSid: CallSid): Promise<boolean> {
  const cancel = () => temporal.workflow.getHandle(recordingWorkflowId(callSid)).cancel()
  try {
    await temporal.withDeadline(Date.now() + DEADLINE_MS, cancel)
    return true
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false
    throw error
  }
}

/**
 * Counts open runs whose workflow tasks fail repeatedly. Only a deploy can fix them. Recovery does not start them again.
 * [docs.temporal.io, visibility: TemporalReportedProblems]
 */
export async function countStuckRuns(temporal: Client): Promise<number> {
  const query = `WorkflowType = '${RECORDING_WORKFLOW}' AND ExecutionStatus = 'Running' AND TemporalReportedProblems IS NOT NULL`
  return (await temporal.workflow.count(query)).count
}
