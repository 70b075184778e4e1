// The activity of recovery, with a Temporal server that knows which runs are open.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { Client } from '@temporalio/client'
import { pino } from 'pino'
import { createRecoverRecordings } from '../../activities/recover-recordings.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { RecoveryResult } from '../../contracts/maintenance.ts'
import { RECORDING_WORKFLOW, recordingWorkflowId } from '../../contracts/names.ts'
import { openWorkbench, RECOVERY, type Workbench } from '../support/activities.ts'
import { createNamespace, newCallSid } from '../support/servers.ts'

let bench: Workbench
let temporal: Awaited<ReturnType<typeof createNamespace>>
beforeAll(async () => {
  ;[bench, temporal] = await Promise.all([openWorkbench(), createNamespace()])
})
afterAll(async () => {
  await bench?.close()
  await temporal?.close()
})

const LINK = 'https://recordings.exotel.com/a/1.mp3'
const HOUR = 3600_000
const FIRST_PAUSE_MS = RECOVERY.pausesMs[0]!

beforeEach(async () => {
  await bench.owner.$executeRaw`TRUNCATE calls, recordings, webhook_events CASCADE`
})

function recover({ perPass = 100, client = temporal.client } = {}): Promise<RecoveryResult> {
  const { database, alarms } = bench
  const recovery = { plan: RECOVERY, perPass, quietMs: 600_000, openRunPauseMs: 6 * HOUR }
  const activity = createRecoverRecordings({ database, alarms, recovery, temporal: client, logger: pino({ level: 'silent' }) })
  return bench.environment().run(activity)
}
const startRun = (callSid: CallSid) =>
  temporal.client.workflow.start(RECORDING_WORKFLOW, { workflowId: recordingWorkflowId(callSid), taskQueue: 'without-workers' })
const eventsOf = (callSid: CallSid) => bench.database.webhookEvent.findMany({ where: { callSid } })

/** Two calls that wait, in the order in which recovery checks them. */
async function waitingCalls(): Promise<[CallSid, CallSid]> {
  const callSids = [newCallSid(), newCallSid()].toSorted() as [CallSid, CallSid]
  for (const callSid of callSids)
    await bench.owner.$executeRaw`
      INSERT INTO calls (call_sid, recording_state, updated_at) VALUES (${callSid}, 'awaiting', now() - interval '1 hour')`
  return callSids
}

/** A call whose search for a recording has failed, or whose recording has failed if it has a link. It is due. */
async function failedCall(link?: string): Promise<CallSid> {
  const callSid = newCallSid()
  const failed = { error: 'Exotel responded 503', errorCode: 'ExotelUnavailable' }
  const nextTryAt = new Date(Date.now() - 1000)
  await bench.owner.call.create({
    data: {
      callSid,
      recordingState: 'failed',
      recordingError: failed.error,
      recordingErrorCode: failed.errorCode,
      recordingNextTryAt: nextTryAt,
    },
  })
  if (link !== undefined) await bench.owner.recording.create({ data: { callSid, sourceUrl: link, state: 'failed', ...failed, nextTryAt } })
  return callSid
}

/** A client of which one method of `workflow` does not work. */
function without(methods: Partial<Record<'getHandle' | 'count', (argument: string) => unknown>>): Client {
  const workflow = Object.assign(Object.create(temporal.client.workflow) as object, methods)
  return Object.defineProperty(Object.create(temporal.client) as Client, 'workflow', { value: workflow })
}
const refuse = (): Promise<never> => Promise.reject(new Error('The shard does not respond'))

test('When a pass finds that the run of a waiting call is open, then the next pass checks other calls', async () => {
  const [open, lost] = await waitingCalls()
  await startRun(open)
  expect(await recover({ perPass: 1 })).toMatchObject({ unowned: 0, more: true })
  expect(await recover({ perPass: 1 })).toMatchObject({ unowned: 1 })
  expect(await bench.database.webhookEvent.findMany()).toMatchObject([{ callSid: lost, source: 'recovery', relayState: 'pending' }])
})

describe('When a recording that has failed is due,', () => {
  const pauseOf = async (callSid: CallSid): Promise<number> => {
    const { nextTryAt } = await bench.database.recording.findFirstOrThrow({ where: { callSid } })
    return nextTryAt!.getTime() - Date.now()
  }

  test('then it is due again after the first pause, or after the pause of an open run if its call has one', async () => {
    const [closed, open] = [await failedCall(LINK), await failedCall(LINK)]
    await startRun(open)
    expect(await recover()).toMatchObject({ due: 2, more: false })
    expect(await pauseOf(closed)).toBeLessThanOrEqual(FIRST_PAUSE_MS)
    expect(await pauseOf(open)).toBeGreaterThan(5 * HOUR)
    for (const callSid of [closed, open]) expect(await eventsOf(callSid)).toMatchObject([{ sourceUrls: [LINK] }])
  })

  test('then more passes follow until each one was started', async () => {
    for (let i = 0; i < 2; i += 1) await failedCall(LINK)
    expect(await recover({ perPass: 1 })).toMatchObject({ due: 1, more: true })
    expect(await recover({ perPass: 1 })).toMatchObject({ due: 1, more: true })
    expect(await recover({ perPass: 1 })).toMatchObject({ due: 0, more: false })
  })
})

test('When a search that has failed is due while its run is open, then no event is added, because the run has nothing to do', async () => {
  const callSid = await failedCall()
  await startRun(callSid)
  expect(await recover()).toMatchObject({ due: 0 })
  expect(await eventsOf(callSid)).toEqual([])
})

describe('When Temporal does not answer', () => {
  test('whether the run of one call is open, then recovery continues with the others, and checks this call later', async () => {
    const [unknown, lost] = await waitingCalls()
    const handleOf = (workflowId: string) =>
      workflowId === recordingWorkflowId(unknown) ? { describe: refuse } : temporal.client.workflow.getHandle(workflowId)
    expect(await recover({ client: without({ getHandle: handleOf }) })).toMatchObject({ unowned: 1 })
    expect(await eventsOf(unknown)).toEqual([])
    expect(await eventsOf(lost)).toHaveLength(1)
  })

  test('how many runs are stuck, then recovery still ends, and no alarm is raised', async () => {
    const [first] = await waitingCalls()
    expect(await recover({ client: without({ count: refuse }) })).toMatchObject({ unowned: 2, stuck: 0 })
    expect(await eventsOf(first)).toHaveLength(1)
    expect(bench.alarms.active()).toEqual([])
  })
})
