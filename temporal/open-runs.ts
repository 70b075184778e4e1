// What Temporal says about the runs of RecordingWorkflow.
import type { Client } from '@temporalio/client'
import { WorkflowNotFoundError } from '@temporalio/common'
import type { CallSid } from '../contracts/call-sid.ts'
import { RECORDING_WORKFLOW, recordingWorkflowId } from '../contracts/names.ts'

const DEADLINE_MS = 10_000

/** Whether a run owns the call now. Terminated, timed out, deleted or never started: nobody does. */
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
 * Open runs whose workflow tasks fail again and again, which only a deploy mends: they are never started a second time.
 * [docs.temporal.io, visibility: TemporalReportedProblems]
 */
export async function countStuckRuns(temporal: Client): Promise<number> {
  const query = `WorkflowType = '${RECORDING_WORKFLOW}' AND ExecutionStatus = 'Running' AND TemporalReportedProblems IS NOT NULL`
  return (await temporal.workflow.count(query)).count
}
