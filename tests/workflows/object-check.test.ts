// The object check on the time-skipping server with scripted pages.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { ApplicationFailure } from '@temporalio/common'
import { TestWorkflowEnvironment } from '@temporalio/testing'
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { binaries } from '../../dev/fetch-servers.mjs'
import type { ObjectCheckResult, ObjectsPage, ObjectsRequest } from '../../contracts/maintenance.ts'
import { OBJECT_CHECK_WORKFLOW, RECORDINGS_QUEUE } from '../../contracts/names.ts'
import { dist, uniqueName } from '../support/servers.ts'

const NIGHT_MS = 24 * 3600_000
const PAGE: ObjectsPage = { objects: 3, unknown: 0, adopted: 0, deleted: 0, foreign: 0, surplus: 1 }

let env: TestWorkflowEnvironment
let worker: Worker
let running: Promise<void>
let pageOf: (request: ObjectsRequest) => Promise<ObjectsPage>
let ends: (ObjectCheckResult & { full: boolean })[]
beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') })
  env = await TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: 'existing-path', path: binaries.temporalTestServer() } },
  })
  const activities = {
    checkRows: async () => ({ rows: 200, missing: 0, believed: true }),
    checkObjects: (request: ObjectsRequest) => pageOf(request),
    recordObjectCheck: async (end: ObjectCheckResult & { full: boolean }) => void ends.push(end),
  }
  const workflowBundle = { code: readFileSync(join(dist, 'workflow-bundle.js'), 'utf8') }
  worker = await Worker.create({ connection: env.nativeConnection, activities, taskQueue: RECORDINGS_QUEUE, workflowBundle })
  running = worker.run()
})
beforeEach(() => {
  ends = []
})
afterAll(async () => {
  worker.shutdown()
  await running
  await env.teardown()
})

const check = (): Promise<ObjectCheckResult> =>
  env.client.workflow.execute(OBJECT_CHECK_WORKFLOW, {
    workflowId: uniqueName('object-check'),
    taskQueue: RECORDINGS_QUEUE,
    args: [{ full: false }],
  })

test('When the check has many pages, then their counts are added over all runs, and the check is recorded', async () => {
  pageOf = async ({ after = '0' }) => ({ ...PAGE, ...(Number(after) < 249 && { last: String(Number(after) + 1) }) })
  const found = { rows: 200, missing: 0, objects: 750, unknown: 0, adopted: 0, deleted: 0, foreign: 0, surplus: 250 }
  expect(await check()).toEqual(found)
  expect(ends).toEqual([{ ...found, full: false }])
})

test('When the store never lists a page, then the check fails before the next night’s check is due, which would be skipped otherwise', async () => {
  pageOf = () =>
    Promise.reject(
      ApplicationFailure.create({ type: 'StorageUnavailable', message: 'unavailable', nextRetryDelay: '5m', category: 'BENIGN' }),
    )
  const startedMs = await env.currentTimeMs()
  await expect(check()).rejects.toThrow('Workflow execution failed')
  expect((await env.currentTimeMs()) - startedMs).toBeLessThan(NIGHT_MS)
  expect(ends).toEqual([])
})
