// Tests on a real Temporal server. It decides what a new run inherits, and rejects the completion of a run that received a signal meanwhile.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Context } from '@temporalio/activity'
import { NativeConnection, Worker } from '@temporalio/worker'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CallSid } from '../../contracts/call-sid.ts'
import { signalRecordingWorkflow } from '../../relay/signal-workflow.ts'
import type { ClaimedEvent } from '../../calls/relay-events.ts'
import { DOWNLOADS_QUEUE, RECORDINGS_QUEUE, recordingWorkflowId, spoolQueues } from '../../contracts/names.ts'
import type { Conclusion, SourceRef } from '../../contracts/recording.ts'
import { eventually } from '../support/eventually.ts'
import { createNamespace, dist, newCallSid, servers } from '../support/servers.ts'
import { failedAttempt, retriedLater, POLICY } from '../support/workflow-harness.ts'

const LINKS = ['A', 'B', 'C', 'D', 'E'].map((name) => `https://recordings.exotel.com/a/${name}.mp3`)
const WHOLE = { queue: 'spool-scripted', file: 'f', bytes: 10, sha256: 'a'.repeat(64) }
/** Activities that succeed at once. */
const WORKING = {
  validateRecording: async () => ({ kind: 'good', etag: 'e', audio: { contentType: 'audio/mpeg', extension: 'mp3' } }),
  uploadRecording: async () => ({ bucket: 'b', key: 'k', url: 'u' }),
  recordRetryWait: async () => {},
  discardRecording: async () => {},
}
const [LATE, ...OTHERS] = LINKS as [string, ...string[]]

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

test('When a run continues as new while links arrive, then each is transferred once, and each run has the CallSid search attribute', async () => {
  const callSid = newCallSid()
  const conclusions: Conclusion[] = []
  const activities = {
    ...WORKING,
    downloadRecording: async ({ sourceUrl }: SourceRef) => {
      // After a 429 the workflow waits without limit, so that a slow machine makes no difference.
      if (sourceUrl === LATE && conclusions.length < OTHERS.length) throw failedAttempt('ExotelRateLimited')
      return WHOLE
    },
    updateCall: async (conclusion: Conclusion) => void conclusions.push(conclusion),
  }
  await withWorkers(activities, async () => {
    const policy = { ...POLICY, waitScale: 1 / 200, continueAsNewAfterEvents: 80 }
    const signal = (sourceUrl: string) => signalRecordingWorkflow(temporal.client, eventOf(callSid, [sourceUrl]), policy)
    await signal(LATE)
    for (const [index, link] of OTHERS.entries()) {
      await eventually('the next run', async () => (await runsOf(callSid)).length > index + 1, 60_000)
      await signal(link)
    }
    await temporal.client.workflow.getHandle(recordingWorkflowId(callSid)).result()
    expect(conclusions.map(({ sourceUrl, outcome }) => `${sourceUrl} ${outcome.state}`).toSorted()).toEqual(
      LINKS.map((link) => `${link} stored`),
    )
    const runs = await eventually('the last run to be listed as ended', async () => {
      const all = await runsOf(callSid)
      return all.some(({ status }) => status.name === 'COMPLETED') && all
    })
    expect(new Set(runs.map(({ status }) => status.name))).toEqual(new Set(['CONTINUED_AS_NEW', 'COMPLETED']))
  })
})

test('When a complete file waits for S3 until the history is too long, then the next run continues with that file', async () => {
  const callSid = newCallSid()
  const [waiting, limited] = ['X', 'Y'].map((name) => `https://recordings.exotel.com/a/${name}.mp3`) as [string, string]
  const conclusions: Conclusion[] = []
  const downloads: string[] = []
  let discarded = 0
  const activities = {
    ...WORKING,
    downloadRecording: async ({ sourceUrl }: SourceRef) => {
      if (sourceUrl === limited && conclusions.length === 0) throw failedAttempt('ExotelRateLimited')
      if (sourceUrl === waiting) downloads.push(Context.current().info.taskQueue)
      return WHOLE
    },
    uploadRecording: async ({ sourceUrl }: SourceRef) => {
      if (sourceUrl === waiting && downloads.length < 2) throw retriedLater('StorageUnavailable', 500)
      return { bucket: 'b', key: 'k', url: 'u' }
    },
    updateCall: async (conclusion: Conclusion) => void conclusions.push(conclusion),
    discardRecording: async () => void (discarded += 1),
  }
  await withWorkers(activities, async () => {
    const policy = { ...POLICY, waitScale: 1 / 1000, continueAsNewAfterEvents: 40 }
    await signalRecordingWorkflow(temporal.client, eventOf(callSid, [waiting, limited]), policy)
    await temporal.client.workflow.getHandle(recordingWorkflowId(callSid)).result()
    expect(downloads).toEqual([DOWNLOADS_QUEUE, spoolQueues(WHOLE.queue).downloads])
    expect(conclusions.map(({ sourceUrl, outcome }) => `${sourceUrl} ${outcome.state}`)).toEqual([`${waiting} stored`, `${limited} stored`])
    expect(discarded).toBe(0)
    const lengths = await eventually('all runs to be listed as ended', async () => {
      const runs = await runsOf(callSid)
      return runs.length > 1 && runs.every(({ status }) => status.name !== 'RUNNING') && runs.map(({ historyLength }) => historyLength)
    })
    expect(Math.max(...lengths)).toBeLessThan(10 * policy.continueAsNewAfterEvents) // Temporal terminates a run at 51,200 events
  })
})

/** More limits than events of one attempt, so that some limit is reached at each kind of event, also at the end of a wait. */
const LIMITS = Array.from({ length: 20 }, (_, index) => 80 + index)

test('When a history reaches its limit at any event of an attempt, then its run continues as new', async () => {
  const calls = LIMITS.map((continueAsNewAfterEvents) => ({
    callSid: newCallSid(),
    policy: { ...POLICY, waitScale: 1 / 200, continueAsNewAfterEvents },
  }))
  const runIds = new Map<string, string[]>()
  const activities = {
    ...WORKING,
    downloadRecording: async ({ callSid }: SourceRef) => {
      const runs = runIds.get(callSid) ?? []
      runIds.set(callSid, [...runs, Context.current().info.workflowExecution!.runId])
      if (new Set(runIds.get(callSid)).size === 1 && runs.length < 40) throw failedAttempt('ExotelRateLimited')
      return WHOLE
    },
    updateCall: async () => {},
  }
  await withWorkers(activities, async () => {
    await Promise.all(calls.map(({ callSid, policy }) => signalRecordingWorkflow(temporal.client, eventOf(callSid, [LATE]), policy)))
    await Promise.all(calls.map(({ callSid }) => temporal.client.workflow.getHandle(recordingWorkflowId(callSid)).result()))
    expect(calls.map(({ callSid }) => new Set(runIds.get(callSid)).size)).toEqual(LIMITS.map(() => 2))
  })
})

async function withWorkers(activities: object, work: () => Promise<void>): Promise<void> {
  const common = { connection, namespace: temporal.namespace, activities }
  const workflowBundle = { code: readFileSync(join(dist, 'workflow-bundle.js'), 'utf8') }
  const queues = [DOWNLOADS_QUEUE, ...Object.values(spoolQueues(WHOLE.queue))]
  const workers = await Promise.all([
    Worker.create({ ...common, taskQueue: RECORDINGS_QUEUE, workflowBundle }),
    ...queues.map((taskQueue) => Worker.create({ ...common, taskQueue })),
  ])
  const running = Promise.all(workers.map((worker) => worker.run()))
  try {
    await work()
  } finally {
    for (const worker of workers) worker.shutdown()
    await running
  }
}

async function runsOf(callSid: CallSid) {
  const runs = []
  for await (const run of temporal.client.workflow.list({ query: `CallSid = '${callSid}'` })) runs.push(run)
  return runs
}

function eventOf(callSid: CallSid, sourceUrls: string[]): ClaimedEvent {
  const known = { status: 'completed', endedAt: null, durationSeconds: null, requestId: null, receivedAt: new Date() }
  return {
    ...known,
    id: 1n,
    claimId: '',
    source: 'exotel',
    callSid,
    sourceUrls,
    relayTries: 0,
    relayWaits: 0,
    endReportedAt: null,
    searchAgain: false,
    bringsNothingNew: false,
  }
}
