import type { Client } from '@temporalio/client'
import { recordingPeaksWorkflowId, RECORDING_PEAKS_WORKFLOW, RECORDINGS_QUEUE } from '../contracts/names.ts'

/**
 * Requests the waveform peaks of one recording before the schedule gets to it, and does not wait for them. Repeated requests have no effect
 * while one is open. If the peaks are known, no computation follows.
 * @param recordingId `recordings.id`
 */
export async function requestPeaks(temporal: Client, recordingId: string): Promise<void> {
  await temporal.workflow.start(RECORDING_PEAKS_WORKFLOW, {
    workflowId: recordingPeaksWorkflowId(recordingId),
    workflowIdConflictPolicy: 'USE_EXISTING',
    taskQueue: RECORDINGS_QUEUE,
    args: [{ recordingId }],
  })
}
