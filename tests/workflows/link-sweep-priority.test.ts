// Tests on a real Temporal server, because the time-skipping server has no task priorities.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { NativeConnection, Worker } from '@temporalio/worker'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { EXOTEL_API_QUEUE, LINK_SWEEP_WORKFLOW, RECORDING_WORKFLOW, RECORDINGS_QUEUE, recordingWorkflowId } from '../../contracts/names.ts'
import { eventually } from '../support/eventually.ts'
import { createNamespace, dist, newCallSid, servers } from '../support/servers.ts'
import { POLICY } from '../support/workflow-harness.ts'

const QUESTIONS = 30

let temporal: Awaited<ReturnType<typeof createNamespace>>
let connection: NativeConnection
beforeAll(async () => {
  temporal = await createNamespace()
  connection = await NativeConnection.connect({ address: servers.temporal.address })
})
afterAll(async () => {
  await connection?.close()
  await temporal?.close()
})

test('When many requests for single calls are queued, then the request of the sweep is sent before them', async () => {
  const asked: string[] = []
  const activities = {
    findRecording: async () => (asked.push('findRecording'), { kind: 'none', status: 'busy' }),
    sweepLinks: async () => (asked.push('sweepLinks'), 0),
    listCallsWithoutLink: async () => [[newCallSid()]],
    updateCall: async () => {},
  }
  const common = { connection, namespace: temporal.namespace, activities }
  const workflowBundle = { code: readFileSync(join(dist, 'workflow-bundle.js'), 'utf8') }
  const workflows = await Worker.create({ ...common, taskQueue: RECORDINGS_QUEUE, workflowBundle })
  let exotelApi: Worker | undefined
  const running = [workflows.run()]
  try {
    const start = (workflow: string, workflowId: string, args: unknown[]) =>
      temporal.client.workflow.start(workflow, { workflowId, taskQueue: RECORDINGS_QUEUE, args })
    const handles = await Promise.all(
      Array.from({ length: QUESTIONS }, (_, index) => {
        const callSid = newCallSid()
        const arrivedAt = new Date(Date.now() - 2 * 3600_000).toISOString() // a request is sent at once
        return start(RECORDING_WORKFLOW, recordingWorkflowId(`${callSid}-${index}`), [{ callSid, arrivedAt, policy: POLICY }])
      }),
    )
    for (const handle of handles) await eventually('the request to be queued', async () => isAsking(handle))
    handles.push(await start(LINK_SWEEP_WORKFLOW, 'sweep', []))
    await eventually('the sweep to be queued', async () => isAsking(handles.at(-1)!))

    exotelApi = await Worker.create({ ...common, taskQueue: EXOTEL_API_QUEUE, maxConcurrentActivityTaskExecutions: 1 })
    running.push(exotelApi.run())
    await Promise.all(handles.map((handle) => handle.result()))
    expect(asked).toHaveLength(QUESTIONS + 1)
    expect(asked.indexOf('sweepLinks')).toBeLessThan(QUESTIONS / 2)
  } finally {
    for (const worker of [workflows, exotelApi]) worker?.shutdown()
    await Promise.all(running)
  }
})

async function isAsking(handle: { describe(): Promise<{ raw: { pendingActivities?: unknown[] | null } }> }): Promise<boolean> {
  const { pendingActivities } = (await handle.describe()).raw
  return (pendingActivities ?? []).some((each) => /findRecording|sweepLinks/.test(JSON.stringify(each)))
}
