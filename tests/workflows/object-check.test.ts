// The object check on the time-skipping server with scripted pages.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { ApplicationFailure } from '@temporalio/common'
import { TestWorkflowEnvironment } from '@temporalio/testing'
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { binaries } from '../../dev/fetch-servers.mjs'
import type { ObjectCheckResult, ObjectsPage, ObjectsRequest, RowsPage, RowsRequest } from '../../contracts/maintenance.ts'
import { OBJECT_CHECK_WORKFLOW, RECORDINGS_QUEUE } from '../../contracts/names.ts'
import { dist, uniqueName } from '../support/servers.ts'

const NIGHT_MS = 24 * 3600_000
const PAGE: ObjectsPage = { objects: 3, unknown: 0, adopted: 0, deleted: 0, foreign: 0, surplus: 1 }

let env: TestWorkflowEnvironment
let worker: Worker
let running: Promise<void>
let pageOf: (request: ObjectsRequest) => Promise<ObjectsPage>
let rowsOf: (request: RowsRequest) => RowsPage
let rowsRequests: RowsRequest[]
let ends: (ObjectCheckResult & { full: boolean })[]
beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') })
  env = await TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: 'existing-path', path: binaries.temporalTestServer() } },
  })
  const activities = {
    checkRows: async (request: RowsRequest) => (rowsRequests.push(request), rowsOf(request)),
    checkObjects: (request: ObjectsRequest) => pageOf(request),
    recordObjectCheck: async (end: ObjectCheckResult & { full: boolean }) => void ends.push(end),
  }
  const workflowBundle = { code: readFileSync(join(dist, 'workflow-bundle.js'), 'utf8') }
  worker = await Worker.create({ connection: env.nativeConnection, activities, taskQueue: RECORDINGS_QUEUE, workflowBundle })
  running = worker.run()
})
beforeEach(() => {
  ends = []
  rowsRequests = []
  rowsOf = () => ({ rows: 200, missing: 0, believed: true })
})
afterAll(async () => {
  worker.shutdown()
  await running
  await env.teardown()
})

const check = (full = false, workflowId = uniqueName('object-check')): Promise<ObjectCheckResult> =>
  env.client.workflow.execute(OBJECT_CHECK_WORKFLOW, {
    workflowId,
    taskQueue: RECORDINGS_QUEUE,
    args: [{ full }],
  })

test('When the check has many pages, then their counts are added over all runs, and the check is recorded', async () => {
  pageOf = async ({ after = '0' }) => ({ ...PAGE, ...(Number(after) < 249 && { last: String(Number(after) + 1) }) })
  const found = { rows: 200, missing: 0, objects: 750, unknown: 0, adopted: 0, deleted: 0, foreign: 0, surplus: 250 }
  expect(await check()).toEqual(found)
  expect(ends).toEqual([{ ...found, full: false }])
  expect(rowsRequests).toEqual([{ sampled: true }])
})

test('When a person checks all rows, then each page of rows is read once, over all runs, and every count is the sum of its pages', async () => {
  rowsOf = ({ after = '0' }) => ({ rows: 2, missing: 1, believed: true, ...(Number(after) < 249 && { last: String(Number(after) + 1) }) })
  const page = { objects: 7, unknown: 1, adopted: 2, deleted: 3, foreign: 4, surplus: 5 }
  pageOf = async ({ after }) => ({ ...page, ...(after === undefined && { last: 'a' }) })
  const found = { rows: 500, missing: 250, objects: 14, unknown: 2, adopted: 4, deleted: 6, foreign: 8, surplus: 10 }
  expect(await check(true)).toEqual(found)
  expect(ends).toEqual([{ ...found, full: true }])
  expect(rowsRequests.map(({ after = '0' }) => Number(after))).toEqual(Array.from({ length: 250 }, (_, index) => index))
  expect(rowsRequests.every(({ sampled }) => !sampled)).toBe(true)
})

test('When the store never lists a page, then the check fails before the next night’s check is due, which would be skipped otherwise', async () => {
  pageOf = () =>
    Promise.reject(
      ApplicationFailure.create({ type: 'StorageUnavailable', message: 'unavailable', nextRetryDelay: '5m', category: 'BENIGN' }),
    )
  const workflowId = uniqueName('object-check')
  await expect(check(false, workflowId)).rejects.toThrow('Workflow execution failed')
  // Not the server's time: after the end of the run, it may skip years.
  const { startTime, closeTime } = await env.client.workflow.getHandle(workflowId).describe()
  expect(closeTime!.getTime() - startTime.getTime()).toBeLessThan(NIGHT_MS)
  expect(ends).toEqual([])
})
