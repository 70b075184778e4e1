// The signal that RecordingWorkflow receives for an event, as Temporal keeps it.
import { defaultPayloadConverter } from '@temporalio/common'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { claimEvents } from '../../calls/relay-events.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import { recordEvent } from '../../calls/record-event.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
import { recordingWorkflowId } from '../../contracts/names.ts'
import type { CallUpdate } from '../../contracts/recording.ts'
import { deliveryIdentity, readCallEvent } from '../../exotel/call-event.ts'
import { signalRecordingWorkflow } from '../../relay/signal-workflow.ts'
import { RECOVERY } from '../support/activities.ts'
import { createNamespace, newCallSid, openDatabase, type OpenDatabase } from '../support/servers.ts'
import { POLICY } from '../support/workflow-harness.ts'

let opened: OpenDatabase
let temporal: Awaited<ReturnType<typeof createNamespace>>
beforeAll(async () => {
  ;[opened, temporal] = await Promise.all([openDatabase(), createNamespace()])
})
afterAll(async () => {
  await temporal?.close()
  await opened?.close()
})

/** Records the end of a busy call, sends it to Temporal, and returns the signal in the history. No worker runs. */
async function signalOfEnd(callSid: CallSid): Promise<CallUpdate> {
  const fields = { CallSid: callSid, Status: 'busy' }
  const event = readCallEvent(fields, 'call-end')
  await recordEvent(opened.database, { source: 'exotel', route: 'call-end', identity: deliveryIdentity('call-end', fields), event, fields })
  const claimed = (await claimEvents(opened.database, { fresh: 10, withoutResponse: 0 })).find((each) => each.callSid === callSid)
  await signalRecordingWorkflow(temporal.client, claimed!, POLICY)
  const { events } = await temporal.client.workflow.getHandle(recordingWorkflowId(callSid)).fetchHistory()
  const signal = events!.flatMap((each) => each.workflowExecutionSignaledEventAttributes?.input?.payloads ?? [])[0]!
  return defaultPayloadConverter.fromPayload(signal)
}

test('When a call ends for the first time, then its workflow gets the status and the time when the end arrived', async () => {
  const signal = await signalOfEnd(newCallSid())
  expect(signal).toEqual({ sourceUrls: [], status: 'busy', endReportedAt: expect.any(String) })
})

test('When a call ends after its search has found no recording, then its workflow has to search again', async () => {
  const callSid = newCallSid()
  const outcome = { state: 'not_recorded', status: 'busy' } as const
  await concludeRecording(opened.database, { callSid, outcome }, { attempt: 'the first search', plan: RECOVERY })
  expect(await signalOfEnd(callSid)).toMatchObject({ status: 'busy', searchAgain: true })
})
