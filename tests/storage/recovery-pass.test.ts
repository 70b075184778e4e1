// The activity of recovery, with a Temporal server that knows which runs are open.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { createRecoverRecordings } from '../../activities/recover-recordings.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
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

test('When a pass finds that the run of a waiting call is open, then the next pass checks other calls', async () => {
  const [open, lost] = [newCallSid(), newCallSid()].toSorted() as [CallSid, CallSid] // recovery checks them in this order
  for (const callSid of [open, lost])
    await bench.owner.$executeRaw`
      INSERT INTO calls (call_sid, recording_state, updated_at) VALUES (${callSid}, 'awaiting', now() - interval '1 hour')`
  await temporal.client.workflow.start(RECORDING_WORKFLOW, { workflowId: recordingWorkflowId(open), taskQueue: 'without-workers' })

  const recovery = { plan: RECOVERY, perPass: 1, quietMs: 600_000, openRunPauseMs: 3600_000 }
  const { database, alarms } = bench
  const recover = createRecoverRecordings({ database, alarms, recovery, temporal: temporal.client, logger: pino({ level: 'silent' }) })
  expect(await bench.environment().run(recover)).toMatchObject({ unowned: 0, more: true })
  expect(await bench.environment().run(recover)).toMatchObject({ unowned: 1 })
  expect(await database.webhookEvent.findMany()).toMatchObject([{ callSid: lost, source: 'recovery', relayState: 'pending' }])
})
