// The signal that RecordingWorkflow receives for an event, as Temporal keeps it.
import { defaultPayloadConverter } from '@temporalio/common'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { claimEvents, type ClaimedEvent } from '../../calls/relay-events.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
import { CALL_SID_ATTRIBUTE, RECORDING_STATE_ATTRIBUTE, RECORDINGS_QUEUE, recordingWorkflowId } from '../../contracts/names.ts'
import type { CallUpdate } from '../../contracts/recording.ts'
import { signalRecordingWorkflow } from '../../relay/signal-workflow.ts'
import { RECOVERY } from '../support/activities.ts'
import { recordWebhook } from '../support/record-webhook.ts'
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
  await recordWebhook(opened.database, 'call-end', { CallSid: callSid, Status: 'busy' })
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

test('When the first event of a call is sent, then its run has the call, its policy and its search attributes, and the signal has all facts', async () => {
  const event: ClaimedEvent = {
    id: 1n,
    claimId: 'claim',
    source: 'recovery',
    callSid: newCallSid(),
    sourceUrls: ['https://recordings.exotel.com/a/1.mp3', 'https://recordings.exotel.com/a/2.mp3'],
    requestId: 'request-1',
    receivedAt: new Date('2026-11-02T10:00:00.000Z'),
    status: 'completed',
    endedAt: new Date('2026-11-02T09:59:00.000Z'),
    durationSeconds: 73,
    relayTries: 0,
    relayWaits: 0,
    endReportedAt: new Date('2026-11-02T09:59:30.000Z'),
    searchAgain: true,
    bringsNothingNew: false,
  }
  const { callSid, sourceUrls, requestId } = event
  await signalRecordingWorkflow(temporal.client, event, POLICY)
  const { events } = await temporal.client.workflow.getHandle(recordingWorkflowId(callSid)).fetchHistory()
  const started = events!.flatMap((each) => each.workflowExecutionStartedEventAttributes ?? [])[0]!
  expect(started.taskQueue?.name).toBe(RECORDINGS_QUEUE)
  expect(started.input!.payloads!.map((payload) => defaultPayloadConverter.fromPayload(payload))).toEqual([
    { callSid, arrivedAt: '2026-11-02T10:00:00.000Z', requestId, policy: POLICY },
  ])
  const attributes = Object.entries(started.searchAttributes!.indexedFields!)
  expect(Object.fromEntries(attributes.map(([name, { data }]) => [name, JSON.parse(Buffer.from(data!).toString())]))).toEqual({
    [CALL_SID_ATTRIBUTE]: callSid,
    [RECORDING_STATE_ATTRIBUTE]: 'awaiting',
  })
  const signal = events!.flatMap((each) => each.workflowExecutionSignaledEventAttributes?.input?.payloads ?? [])
  expect(signal.map((payload) => defaultPayloadConverter.fromPayload(payload))).toEqual([
    {
      sourceUrls,
      status: 'completed',
      endedAt: '2026-11-02T09:59:00.000Z',
      durationSeconds: 73,
      endReportedAt: '2026-11-02T09:59:30.000Z',
      searchAgain: true,
      recovery: true,
    },
  ])
})
