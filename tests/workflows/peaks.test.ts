// The workflows of waveform peaks on the time-skipping server, with scripted activities.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { ApplicationFailure } from '@temporalio/common'
import { TestWorkflowEnvironment } from '@temporalio/testing'
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { binaries } from '../../dev/fetch-servers.mjs'
import { PEAKS_QUEUE, PEAKS_WORKFLOW, RECORDINGS_QUEUE } from '../../contracts/names.ts'
import type { PeaksOutcome, PeaksRequest, PeaksSummary, WithoutPeaksPage, WithoutPeaksRequest } from '../../contracts/peaks.ts'
import { requestPeaks } from '../../temporal/request-peaks.ts'
import { dist, uniqueName } from '../support/servers.ts'

let env: TestWorkflowEnvironment
let workers: Worker[]
let running: Promise<unknown>
let pageOf: (request: WithoutPeaksRequest) => WithoutPeaksPage
let compute: (request: PeaksRequest) => Promise<PeaksOutcome>
let requested: WithoutPeaksRequest[]
let computed: PeaksRequest[]
beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') })
  env = await TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: 'existing-path', path: binaries.temporalTestServer() } },
  })
  const connection = env.nativeConnection
  const workflowBundle = { code: readFileSync(join(dist, 'workflow-bundle.js'), 'utf8') }
  const findRecordingsWithoutPeaks = async (request: WithoutPeaksRequest) => (requested.push(request), pageOf(request))
  const computePeaks = (request: PeaksRequest) => (computed.push(request), compute(request))
  // Each queue has only the activities that belong there.
  workers = await Promise.all([
    Worker.create({ connection, workflowBundle, taskQueue: RECORDINGS_QUEUE, activities: { findRecordingsWithoutPeaks } }),
    Worker.create({ connection, taskQueue: PEAKS_QUEUE, activities: { computePeaks } }),
  ])
  running = Promise.all(workers.map((worker) => worker.run()))
})
beforeEach(() => {
  requested = []
  computed = []
  compute = async () => ({ kind: 'peaks' })
})
afterAll(async () => {
  for (const worker of workers) worker.shutdown()
  await running
  await env.teardown()
})

const NOTHING: PeaksSummary = { peaks: 0, none: 0, known: 0, gone: 0, failed: 0 }
const run = (): Promise<PeaksSummary> =>
  env.client.workflow.execute(PEAKS_WORKFLOW, { workflowId: uniqueName('peaks'), taskQueue: RECORDINGS_QUEUE, args: [] })
const failure = (): ApplicationFailure => ApplicationFailure.create({ type: 'InternalError', message: 'failed', nonRetryable: true })
const ids = (): string[] => computed.map(({ recordingId }) => recordingId)

test('When recordings have no peaks, then those of each page are computed one after the other, in the background', async () => {
  const pages: Record<string, WithoutPeaksPage> = {
    newest: { recordingIds: ['9', '8'], before: '8' },
    8: { recordingIds: [], before: '5' },
    5: { recordingIds: ['4', '2'] },
  }
  pageOf = ({ before = 'newest' }) => pages[before]!
  let open = 0
  let mostOpen = 0
  const outcomes: Record<string, PeaksOutcome> = { 9: { kind: 'peaks' }, 8: { kind: 'none' }, 4: { kind: 'known' }, 2: { kind: 'gone' } }
  compute = async ({ recordingId }) => {
    mostOpen = Math.max(mostOpen, (open += 1))
    await new Promise((resolve) => setImmediate(resolve))
    open -= 1
    return outcomes[recordingId]!
  }
  expect(await run()).toEqual({ ...NOTHING, peaks: 1, none: 1, known: 1, gone: 1 })
  expect(requested).toEqual([{}, { before: '8' }, { before: '5' }])
  expect(computed).toEqual(['9', '8', '4', '2'].map((recordingId) => ({ recordingId, priority: 'background' })))
  expect(mostOpen).toBe(1)
})

test('When there are always more recordings, then the run ends after fifty pages', async () => {
  pageOf = ({ before = '1000' }) => ({ recordingIds: [before], before: String(Number(before) - 1) })
  expect(await run()).toEqual({ ...NOTHING, peaks: 50 })
  expect(requested).toHaveLength(50)
})

test('When single computations fail, then the others take place', async () => {
  pageOf = () => ({ recordingIds: ['3', '2', '1'] })
  compute = async ({ recordingId }) => {
    if (recordingId !== '1') throw failure()
    return { kind: 'peaks' }
  }
  expect(await run()).toEqual({ ...NOTHING, peaks: 1, failed: 2 })
  expect(ids()).toEqual(['3', '2', '1'])
})

test('When three computations fail, then the run fails, and the next one starts again', async () => {
  pageOf = () => ({ recordingIds: ['5', '4', '3', '2', '1'] })
  compute = () => Promise.reject(failure())
  await expect(run()).rejects.toThrow('Workflow execution failed')
  expect(ids()).toEqual(['5', '4', '3'])
})

test('When the store stays unavailable, then the run ends, because the schedule starts no other one meanwhile', async () => {
  pageOf = () => ({ recordingIds: ['5', '4', '3', '2', '1'] })
  compute = () =>
    Promise.reject(
      ApplicationFailure.create({ type: 'StorageUnavailable', message: 'unavailable', nextRetryDelay: '5m', category: 'BENIGN' }),
    )
  await expect(run()).rejects.toThrow('Workflow execution failed')
})

test('When the run is cancelled, then no further recording is computed', async () => {
  pageOf = () => ({ recordingIds: ['3', '2', '1'] })
  const handle = await env.client.workflow.start(PEAKS_WORKFLOW, { workflowId: uniqueName('peaks'), taskQueue: RECORDINGS_QUEUE, args: [] })
  compute = async () => {
    await handle.cancel()
    return { kind: 'peaks' }
  }
  await expect(handle.result()).rejects.toThrow('Workflow execution cancelled')
  expect(ids()).toEqual(['3'])
})

test('When several people listen to a recording, then its peaks are computed once, for listeners', async () => {
  let release = (): void => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  compute = async () => (await released, { kind: 'peaks' })
  await requestPeaks(env.client, '77')
  await requestPeaks(env.client, '77')
  release()
  expect(await env.client.workflow.getHandle('recording-peaks-77').result()).toEqual({ kind: 'peaks' })
  expect(computed).toEqual([{ recordingId: '77', priority: 'listener' }])
  await requestPeaks(env.client, '77')
  await env.client.workflow.getHandle('recording-peaks-77').result()
  expect(computed).toHaveLength(2)
})
