import { WorkflowIdConflictPolicy, WorkflowIdReusePolicy, type Client } from '@temporalio/client'
import { defineSearchAttributeKey, SearchAttributeType, TypedSearchAttributes } from '@temporalio/common'
import type { ClaimedEvent } from '../calls/relay-events.ts'
import {
  CALL_UPDATED_SIGNAL,
  CALL_SID_ATTRIBUTE,
  RECORDING_STATE_ATTRIBUTE,
  RECORDING_WORKFLOW,
  RECORDINGS_QUEUE,
  recordingWorkflowId,
} from '../contracts/names.ts'
import type { CallUpdate, EndedCall, RecordingPolicy } from '../contracts/recording.ts'

const DEADLINE_MS = 10_000
const callSidKey = defineSearchAttributeKey(CALL_SID_ATTRIBUTE, SearchAttributeType.KEYWORD)
const stateKey = defineSearchAttributeKey(RECORDING_STATE_ATTRIBUTE, SearchAttributeType.KEYWORD)

/** Starts the call's workflow or signals the open run. One request does both, so that the signal is part of a new run's first workflow task. */
export async function signalRecordingWorkflow(temporal: Client, event: ClaimedEvent, policy: RecordingPolicy): Promise<void> {
  const call: EndedCall = { callSid: event.callSid, arrivedAt: event.receivedAt.toISOString(), requestId: event.requestId ?? '', policy }
  const update: CallUpdate = {
    sourceUrls: event.sourceUrls,
    ...(event.status !== null && { status: event.status }),
    ...(event.endedAt !== null && { endedAt: event.endedAt.toISOString() }),
    ...(event.durationSeconds !== null && { durationSeconds: event.durationSeconds }),
    ...(event.endReportedAt !== null && { endReportedAt: event.endReportedAt.toISOString() }),
    ...(event.searchAgain && { searchAgain: true }),
    // A retry by an operator is like one by recovery: the row says that the recording is missing.
    ...((event.source === 'recovery' || event.source === 'operator') && { recovery: true }),
  }
  await temporal.connection.withDeadline(Date.now() + DEADLINE_MS, () =>
    temporal.workflow.signalWithStart(RECORDING_WORKFLOW, {
      workflowId: recordingWorkflowId(event.callSid),
      taskQueue: RECORDINGS_QUEUE,
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
      workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
      args: [call],
      signal: CALL_UPDATED_SIGNAL,
      signalArgs: [update],
      staticSummary: `Recording of call ${event.callSid}`,
      typedSearchAttributes: new TypedSearchAttributes([
        { key: callSidKey, value: event.callSid },
        { key: stateKey, value: 'awaiting' },
      ]),
    }),
  )
}
