// Starts and cancels the workflow of a bulk retry.
import type { Client } from '@temporalio/client'
import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/common'
import { BULK_RETRY_WORKFLOW, bulkRetryWorkflowId, RECORDINGS_QUEUE } from '../contracts/names.ts'

const DEADLINE_MS = 5000

/** Starting it again changes nothing. */
export async function startBulkRetry(temporal: Client, id: string): Promise<void> {
  const options = { workflowId: bulkRetryWorkflowId(id), taskQueue: RECORDINGS_QUEUE, args: [{ id }] }
  try {
    await temporal.withDeadline(Date.now() + DEADLINE_MS, () => temporal.workflow.start(BULK_RETRY_WORKFLOW, options))
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
  }
}

export async function cancelBulkRetry(temporal: Client, id: string): Promise<void> {
  try {
    await temporal.withDeadline(Date.now() + DEADLINE_MS, () => temporal.workflow.getHandle(bulkRetryWorkflowId(id)).cancel())
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error
  }
}
