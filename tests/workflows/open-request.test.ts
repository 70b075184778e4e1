// Tests on a real Temporal server. The time-skipping server blocks if an activity ends while its workflow cancels it.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Context } from '@temporalio/activity'
import { NativeConnection, Worker } from '@temporalio/worker'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  CALL_UPDATED_SIGNAL,
  DOWNLOADS_QUEUE,
  EXOTEL_API_QUEUE,
  RECORDING_WORKFLOW,
  RECORDINGS_QUEUE,
  recordingWorkflowId,
  spoolQueues,
} from '../../contracts/names.ts'
import type { Conclusion } from '../../contracts/recording.ts'
import { eventually } from '../support/eventually.ts'
import { createNamespace, dist, newCallSid, servers } from '../support/servers.ts'
import { ONE_BYTE, POLICY } from '../support/workflow-harness.ts'

const [SIGNALED, NAMED] = ['A', 'B'].map((name) => `https://recordings.exotel.com/a/${name}.mp3`) as [string, string]

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

test('When the run cancels a request for Call Details because a link has arrived, and the response names another recording, then both are stored', async () => {
  const callSid = newCallSid()
  const run = temporal.client.workflow.getHandle(recordingWorkflowId(callSid))
  const conclusions: Conclusion[] = []
  const activities = {
    findRecording: async () => {
      await run.signal(CALL_UPDATED_SIGNAL, { sourceUrls: [SIGNALED] })
      const context = Context.current()
      await eventually('the run to cancel the request', async () => {
        context.heartbeat()
        const { events } = await run.fetchHistory()
        return events?.some(({ activityTaskCancelRequestedEventAttributes: cancelled }) => cancelled)
      })
      return { kind: 'named', sourceUrl: NAMED }
    },
    downloadRecording: async () => ONE_BYTE,
    validateRecording: async () => ({ kind: 'good', etag: 'e', audio: { contentType: 'audio/mpeg', extension: 'mp3' } }),
    uploadRecording: async () => ({ bucket: 'b', key: 'k', url: 'u' }),
    updateCall: async (conclusion: Conclusion) => void conclusions.push(conclusion),
  }
  const common = { connection, namespace: temporal.namespace, activities }
  const workflowBundle = { code: readFileSync(join(dist, 'workflow-bundle.js'), 'utf8') }
  const queues = [DOWNLOADS_QUEUE, EXOTEL_API_QUEUE, spoolQueues(ONE_BYTE.queue).transfers]
  const workers = await Promise.all([
    Worker.create({ ...common, taskQueue: RECORDINGS_QUEUE, workflowBundle }),
    ...queues.map((taskQueue) => Worker.create({ ...common, taskQueue })),
  ])
  const running = Promise.all(workers.map((worker) => worker.run()))
  try {
    const arrivedAt = new Date(Date.now() - 2 * 3600_000).toISOString() // a request is sent at once
    const args = [{ callSid, arrivedAt, policy: POLICY }]
    await temporal.client.workflow.start(RECORDING_WORKFLOW, { workflowId: run.workflowId, taskQueue: RECORDINGS_QUEUE, args })
    await run.result()
    expect(conclusions.map(({ sourceUrl, outcome }) => `${sourceUrl} ${outcome.state}`)).toEqual([`${SIGNALED} stored`, `${NAMED} stored`])
  } finally {
    for (const worker of workers) worker.shutdown()
    await running
  }
})
