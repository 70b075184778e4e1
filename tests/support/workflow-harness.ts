// Runs RecordingWorkflow on the time-skipping test server with scripted activities, so that waits of days take no real time.
import type { Client, WorkflowHandleWithSignaledRunId } from '@temporalio/client'
import { ApplicationFailure } from '@temporalio/common'
import { TestWorkflowEnvironment } from '@temporalio/testing'
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { Activities } from '../../activities/create.ts'
import { addSearchAttributes } from '../../temporal/namespace.ts'
import { binaries } from '../../dev/fetch-servers.mjs'
import {
  CALL_UPDATED_SIGNAL,
  DOWNLOADS_QUEUE,
  EXOTEL_API_QUEUE,
  RECORDINGS_QUEUE,
  RECORDING_WORKFLOW,
  recordingWorkflowId,
  spoolQueues,
  SEARCH_ATTRIBUTES,
} from '../../contracts/names.ts'
import type { CallUpdate, Conclusion, EndedCall, RecordingPolicy, RecordingStatus, Verdict } from '../../contracts/recording.ts'
import { dist, newCallSid } from './servers.ts'

export const LINK = 'https://recordings.exotel.com/a/1.mp3'
export const MINUTE = 60_000
export const HOUR = 60 * MINUTE
export const iso = (ms: number): string => new Date(ms).toISOString()

/** The saved histories contain this name. */
const SPOOL_QUEUE = 'spool-lab'
/** The worker of this spool runs control activities, but no transfers. */
export const BUSY_SPOOL = 'spool-busy'
const SPOOLS = [SPOOL_QUEUE, 'spool-other', 'spool-third']
export const POLICY: RecordingPolicy = {
  waitScale: 1,
  tries: 3,
  expectedFromSeconds: 10,
  spoolLostAfterMs: 600_000,
  continueAsNewAfterEvents: 10_000,
}
/** A file in the spool of the harness's first worker. */
export const ONE_BYTE = { queue: SPOOL_QUEUE, file: 'f', bytes: 1, sha256: 'a' }
const AUDIO = { contentType: 'audio/mpeg', extension: 'mp3', codec: 'mp3', sampleRate: 8000, channels: 1, durationSeconds: 5 }

/** Each activity succeeds at once by default. A test replaces those that it needs. */
type RecordingActivities = Pick<
  Activities,
  | 'fastTransfer'
  | 'downloadRecording'
  | 'validateRecording'
  | 'uploadRecording'
  | 'updateCall'
  | 'recordRetryWait'
  | 'findRecording'
  | 'renewLink'
  | 'keepIncomplete'
  | 'discardRecording'
  | 'checkSpool'
>
export type Script = Partial<{
  [Name in keyof RecordingActivities]: (...args: Parameters<Activities[Name]>) => ReturnType<Activities[Name]>
}>

export interface Run {
  callSid: CallSid
  handle: WorkflowHandleWithSignaledRunId
  conclusions: Conclusion[]
  /** Time of the last conclusion on the harness's clock. */
  concludedAtMs: number
  /** Names of the activities that ran, in order. */
  calls: string[]
  /** Signals the first run. */
  signal(update: Partial<CallUpdate>): Promise<void>
  /** Signals with start, as the relay does: starts a new run if none is open. */
  signalWithStart(update: Partial<CallUpdate>): Promise<void>
  /** Waits until no run is open. */
  settled(): Promise<void>
  status(): Promise<RecordingStatus>
  /** Whether the history contains the completion of the first activity of this name. */
  hasCompleted(activity: keyof RecordingActivities): Promise<boolean>
  /** Waits for the end of the run. Resolves with `undefined` if it completed, else with the type of its failure. */
  ended(): Promise<string | undefined>
}

export interface Harness {
  env: TestWorkflowEnvironment
  client: Client
  /** `host:port` of the test server. */
  address: string
  start(first: Partial<CallUpdate>, script?: Script, call?: Partial<EndedCall>): Promise<Run>
  /** Lets time pass until the run has a conclusion. This also reaches timeouts for which the server does not skip time. */
  untilConcluded(run: Run): Promise<void>
  close(): Promise<void>
}

Runtime.install({ logger: new DefaultLogger('ERROR') }) // allowed once for each process, and so for each test file

export async function openHarness(): Promise<Harness> {
  const env = await TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: 'existing-path', path: binaries.temporalTestServer() } },
  })
  await addSearchAttributes(env.connection, 'default', SEARCH_ATTRIBUTES)
  const runs = new Map<string, { script: Script; run: Run }>()
  const activities = scriptedActivities(runs, () => env.currentTimeMs())
  const common = { connection: env.nativeConnection, activities }
  const workflowBundle = { code: readFileSync(join(dist, 'workflow-bundle.js'), 'utf8') }
  const workers = await Promise.all([
    Worker.create({ ...common, taskQueue: RECORDINGS_QUEUE, workflowBundle }),
    ...[
      DOWNLOADS_QUEUE,
      EXOTEL_API_QUEUE,
      spoolQueues(BUSY_SPOOL).control,
      ...SPOOLS.flatMap((queue) => Object.values(spoolQueues(queue))),
    ].map((taskQueue) => Worker.create({ ...common, taskQueue, maxConcurrentActivityTaskPolls: 1 })),
  ])
  const running = Promise.all(workers.map((worker) => worker.run()))
  return {
    env,
    client: env.client,
    address: env.address,
    async start(first, script = {}, call = {}) {
      const callSid = newCallSid()
      const arrivedAt = new Date(await env.currentTimeMs()).toISOString()
      const run = { callSid, conclusions: [], calls: [] } as unknown as Run
      runs.set(callSid, { script, run })
      const sendWithStart = (update: Partial<CallUpdate>) =>
        env.client.workflow.signalWithStart(RECORDING_WORKFLOW, {
          workflowId: recordingWorkflowId(callSid),
          taskQueue: RECORDINGS_QUEUE,
          args: [{ callSid, arrivedAt, policy: POLICY, ...call } satisfies EndedCall],
          signal: CALL_UPDATED_SIGNAL,
          signalArgs: [{ sourceUrls: [], ...update }],
        })
      run.handle = await sendWithStart(first)
      run.signalWithStart = async (update) => void (await sendWithStart(update))
      run.settled = async () => {
        const last = env.client.workflow.getHandle(recordingWorkflowId(callSid))
        while ((await last.describe()).status.name === 'RUNNING') await last.result().catch(() => {})
      }
      run.signal = (update) => run.handle.signal(CALL_UPDATED_SIGNAL, { sourceUrls: [], ...update })
      run.hasCompleted = async (activity) => {
        const events = (await run.handle.fetchHistory()).events ?? []
        const scheduled = events.find((event) => event.activityTaskScheduledEventAttributes?.activityType?.name === activity)
        return events.some((event) => event.activityTaskCompletedEventAttributes?.scheduledEventId?.eq(scheduled?.eventId ?? 0))
      }
      run.status = () => run.handle.query<RecordingStatus>('status')
      run.ended = () =>
        run.handle.result().then(
          () => undefined,
          (error: { cause?: { type?: string; name?: string } }) => error.cause?.type ?? error.cause?.name ?? 'unknown',
        )
      return run
    },
    async untilConcluded(run) {
      for (let minutes = 0; minutes < 40 && run.conclusions.length === 0; minutes += 1) await env.sleep('1 minute')
    },
    async close() {
      for (const worker of workers) worker.shutdown()
      await running
      await env.teardown()
    },
  }
}

function scriptedActivities(runs: Map<string, { script: Script; run: Run }>, nowMs: () => Promise<number>): object {
  const defaults: Required<Script> = {
    fastTransfer: async () => ({ kind: 'unfinished', reason: 'not scripted' }),
    downloadRecording: async () => ({ queue: SPOOL_QUEUE, file: 'f', bytes: 10, sha256: 'a'.repeat(64) }),
    validateRecording: async () => ({ kind: 'good', etag: 'e', audio: AUDIO }),
    uploadRecording: async ({ callSid }) => ({ bucket: 'b', key: `recordings/${callSid}.mp3`, url: `https://s3/b/${callSid}` }),
    updateCall: async () => {},
    recordRetryWait: async () => {},
    findRecording: async () => ({ kind: 'none' }),
    renewLink: async () => ({ kind: 'refused' }),
    keepIncomplete: async () => ({}),
    discardRecording: async () => {},
    checkSpool: async () => true,
  }
  const perform =
    (name: keyof RecordingActivities) =>
    async (input: { callSid: string }): Promise<unknown> => {
      const { script, run } = runs.get(input.callSid)!
      run.calls.push(name)
      const result = await ((script[name] ?? defaults[name]) as (input: unknown) => Promise<unknown>)(input)
      if (name !== 'updateCall') return result
      run.conclusions.push(input as unknown as Conclusion)
      run.concludedAtMs = await nowMs()
      return result
    }
  return Object.fromEntries((Object.keys(defaults) as (keyof RecordingActivities)[]).map((name) => [name, perform(name)]))
}

/** Audio that goes to quarantine. */
export const DAMAGED: Verdict = { kind: 'damaged', etag: 'e', reason: 'cut off', audio: { contentType: 'a', extension: 'mp3' } }

/** The error of an activity whose attempt failed. */
export function failedAttempt(type: string, details: object = {}): ApplicationFailure {
  return ApplicationFailure.create({ type, message: `${type} happened`, nonRetryable: true, details: [details] })
}

/** The error of an activity that has to be retried after a delay, without a decision of the workflow. */
export function retriedLater(type: string, ms: number): ApplicationFailure {
  return ApplicationFailure.create({ type, message: `${type} happened`, nextRetryDelay: ms, category: 'BENIGN' })
}
