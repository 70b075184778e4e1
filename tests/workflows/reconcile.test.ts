// The passes through Exotel's list of calls, on the time-skipping server with scripted pages.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Context } from '@temporalio/activity'
import { ApplicationFailure } from '@temporalio/common'
import { TestWorkflowEnvironment } from '@temporalio/testing'
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { binaries } from '../../dev/fetch-servers.mjs'
import { BACKFILL_QUEUE, BACKFILL_WORKFLOW, EXOTEL_API_QUEUE, RECONCILE_WORKFLOW, RECORDINGS_QUEUE } from '../../contracts/names.ts'
import type { ListPage, ListRequest, PassEnd, PassRequest } from '../../contracts/maintenance.ts'
import { dist, uniqueName } from '../support/servers.ts'

const DAY = 24 * 3600_000
const PAGE = { calls: 100, unusable: 0, callsNew: 1, recordingsNew: 2, isPagingKnown: true }
const iso = (ms: number) => new Date(ms).toISOString()
const FROM = iso(Date.UTC(2026, 10, 1))

let env: TestWorkflowEnvironment
let workers: Worker[]
let running: Promise<unknown>
/** Whether the last pass continued in another run. */
let isContinued = false
/** What the activities of the current test do. */
const script = {
  window: { from: FROM, to: iso(Date.parse(FROM) + DAY) },
  page: (_request: ListRequest): ListPage => PAGE,
  backlog: () => 0,
  passes: [] as PassRequest[],
  requests: [] as ListRequest[],
  /** The task queues on which pages were read. */
  queues: new Set<string>(),
  ends: [] as PassEnd[],
}
beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') })
  env = await TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: 'existing-path', path: binaries.temporalTestServer() } },
  })
  const activities = {
    startReconcilePass: async (request: PassRequest) => (script.passes.push(request), { passId: '7', ...script.window }),
    readListPage: async (request: ListRequest) => {
      script.requests.push(request)
      script.queues.add(Context.current().info.taskQueue)
      return script.page(request)
    },
    finishReconcilePass: async (end: PassEnd) => void script.ends.push(end),
    countBackfillBacklog: async () => script.backlog(),
  }
  const common = { connection: env.nativeConnection, activities }
  const workflowBundle = { code: readFileSync(join(dist, 'workflow-bundle.js'), 'utf8') }
  workers = await Promise.all([
    Worker.create({ ...common, taskQueue: RECORDINGS_QUEUE, workflowBundle }),
    ...[EXOTEL_API_QUEUE, BACKFILL_QUEUE].map((taskQueue) => Worker.create({ ...common, taskQueue })),
  ])
  running = Promise.all(workers.map((worker) => worker.run()))
})
afterAll(async () => {
  for (const worker of workers) worker.shutdown()
  await running
  await env.teardown()
})

async function run(workflow: string, args: unknown[], page: (request: ListRequest) => Partial<ListPage>, days = 1): Promise<PassEnd> {
  Object.assign(script, {
    passes: [],
    requests: [],
    queues: new Set(),
    ends: [],
    window: { from: FROM, to: iso(Date.parse(FROM) + days * DAY) },
  })
  script.page = (request) => ({ ...PAGE, ...page(request) })
  const handle = await env.client.workflow.start(workflow, { workflowId: uniqueName('pass'), taskQueue: RECORDINGS_QUEUE, args })
  await handle.result()
  const first = env.client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId)
  isContinued = Boolean((await first.fetchHistory()).events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes)
  expect(script.passes).toHaveLength(1)
  expect(script.ends).toHaveLength(1)
  return script.ends[0]!
}
const reconcile = (page: (request: ListRequest) => Partial<ListPage>, days?: number) => run(RECONCILE_WORKFLOW, ['regular'], page, days)
/** Pages 1 to `count`, linked by their numbers. */
const pages =
  (count: number, more: Partial<ListPage> = {}) =>
  ({ after = '0' }: ListRequest) => ({ ...more, ...(Number(after) + 1 < count && { next: String(Number(after) + 1) }) })

test('When the list has three pages, then each is read once, and the pass is complete', async () => {
  const end = await reconcile(pages(3, { total: 300 }))
  expect(end).toEqual({ passId: '7', pages: 3, callsSeen: 300, callsNew: 3, recordingsNew: 6 })
  expect(script.requests.map(({ after }) => after)).toEqual([undefined, '1', '2'])
})

test('When the window is longer than the month that Exotel serves, then it is read in portions without a gap', async () => {
  const end = await reconcile(() => ({}), 60)
  expect(end).toMatchObject({ pages: 3 })
  expect(end.problem).toBeUndefined()
  const portions = script.requests.map(({ from, to }) => [from, to] as const)
  expect(portions[0]![0]).toBe(FROM)
  expect(portions.at(-1)![1]).toBe(iso(Date.parse(FROM) + 60 * DAY))
  for (const [index, [from, to]] of portions.entries()) {
    expect(Date.parse(to) - Date.parse(from)).toBeLessThanOrEqual(28 * DAY)
    if (index > 0) expect(from).toBe(portions[index - 1]![1])
  }
})

describe('When a pass ends,', () => {
  test.each([
    ['the list leads back', () => ({ next: '1' }), /leads back/],
    ['a page has no Metadata', () => ({ isPagingKnown: false }), /unknown whether another page/],
    ['the list ends early', pages(2, { total: 250 }), /ended after 200 of 250/],
  ])('then it has a problem if %s', async (_how, page, problem) => {
    expect((await reconcile(page)).problem).toMatch(problem)
  })

  test('then it has a problem if the second portion of a long window ends early, though both together are longer than announced', async () => {
    const end = await reconcile(({ from }) => ({ total: from === FROM ? 100 : 150 }), 30)
    expect(end).toMatchObject({ pages: 2, problem: 'The list ended after 100 of 150 calls' })
  })

  test('then it is complete if the second portion is shorter than the first', async () => {
    const end = await reconcile(({ from }) => (from === FROM ? { total: 100 } : { calls: 50, total: 50 }), 30)
    expect(end).toEqual({ passId: '7', pages: 2, callsSeen: 150, callsNew: 2, recordingsNew: 4 })
  })

  test('then it is complete with a remark if entries have no usable Sid', async () => {
    const end = await reconcile(pages(2, { calls: 98, unusable: 2, total: 200 }))
    expect(end).toMatchObject({ callsSeen: 196, remark: '4 entries have no usable Sid' })
    expect(end.problem).toBeUndefined()
  })
})

test('When a page cannot be read, then the pass ends with this problem', async () => {
  const end = await reconcile(({ after }) => {
    if (after === '1') throw ApplicationFailure.nonRetryable('Exotel answers nonsense', 'InternalError')
    return { next: '1' }
  })
  expect(end).toMatchObject({ pages: 1, problem: 'A page cannot be read: Exotel answers nonsense' })
})

test('When the list is very long, then the pass continues in another run, and ends once with all pages', async () => {
  expect(await reconcile(pages(250))).toEqual({ passId: '7', pages: 250, callsSeen: 25_000, callsNew: 250, recordingsNew: 500 })
  expect(script.requests).toHaveLength(250)
  expect(isContinued).toBe(true)
})

/** Exotel's API is unavailable for so many hours. */
const unavailableFor = (hours: number) => (): Partial<ListPage> => {
  if (script.requests.length > hours) return {}
  throw ApplicationFailure.create({ type: 'ExotelUnavailable', message: 'unavailable', nextRetryDelay: '1h', category: 'BENIGN' })
}

test.each(['regular', 'nightly'] as const)(
  'When a %s pass runs, then it reads its own window, and waits while Exotel is unavailable',
  async (kind) => {
    const end = await run(RECONCILE_WORKFLOW, [kind], unavailableFor(6))
    expect(script.passes).toEqual([{ kind }])
    expect([...script.queues]).toEqual([EXOTEL_API_QUEUE])
    expect(end).toEqual({ passId: '7', pages: 1, callsSeen: 100, callsNew: 1, recordingsNew: 2 })
  },
)

describe('When a backfill runs', () => {
  const request = { from: FROM, to: iso(Date.parse(FROM) + DAY), openAtMost: 100, waitScale: 1 }
  const backfill = (page: (request: ListRequest) => Partial<ListPage>, backlog: () => number = () => 0) => {
    script.backlog = backlog
    return run(BACKFILL_WORKFLOW, [request], page)
  }

  test('and too many of its calls are in progress, then it waits before it reads the next page', async () => {
    const backlog = [0, 150, 100, 99]
    const began = await env.currentTimeMs()
    expect(await backfill(pages(2), () => backlog.shift() ?? 0)).toMatchObject({ pages: 2 })
    expect((await env.currentTimeMs()) - began).toBeGreaterThanOrEqual(60_000)
    expect(script.requests.every(({ source }) => source === 'backfill')).toBe(true)
  })

  test('then it has the window of its request, does not use the requests of live calls, and waits for days while Exotel is unavailable', async () => {
    const end = await backfill(unavailableFor(72))
    expect(script.passes).toEqual([{ kind: 'backfill', from: request.from, to: request.to }])
    expect([...script.queues]).toEqual([BACKFILL_QUEUE])
    expect(end).toEqual({ passId: '7', pages: 1, callsSeen: 100, callsNew: 1, recordingsNew: 2 })
  })

  test('and waits for hours for its calls, then it continues in another run with the next page', async () => {
    let checks = 0
    const end = await backfill(pages(3), () => ((checks += 1) > 1 && checks < 505 ? 100 : 0))
    expect(end).toEqual({ passId: '7', pages: 3, callsSeen: 300, callsNew: 3, recordingsNew: 6 })
    expect(script.requests.map(({ after }) => after)).toEqual([undefined, '1', '2'])
    expect(isContinued).toBe(true)
  })
})
