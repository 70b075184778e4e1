// The workflows of recovery and of the link sweep, on the time-skipping server with scripted activities.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { ApplicationFailure } from '@temporalio/common'
import { TestWorkflowEnvironment } from '@temporalio/testing'
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { binaries } from '../../dev/fetch-servers.mjs'
import type { RecoveryResult } from '../../contracts/maintenance.ts'
import { EXOTEL_API_QUEUE, LINK_SWEEP_WORKFLOW, RECORDINGS_QUEUE, RECOVERY_WORKFLOW } from '../../contracts/names.ts'
import { dist, uniqueName } from '../support/servers.ts'

let env: TestWorkflowEnvironment
let workers: Worker[]
let running: Promise<unknown>
let rounds: number
/** The number of rounds of recovery after which nothing more is due. */
let roundsDue: number
let swept: string[][]
beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') })
  env = await TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: 'existing-path', path: binaries.temporalTestServer() } },
  })
  const activities = {
    recoverRecordings: async (): Promise<RecoveryResult> => {
      rounds += 1
      return { due: 5, unowned: 3, stuck: 2, more: rounds < roundsDue }
    },
    listCallsWithoutLink: async () => [['a', 'b'], ['c'], ['d']],
    sweepLinks: async (callSids: string[]) => {
      swept.push(callSids)
      if (callSids.includes('c')) throw ApplicationFailure.nonRetryable('Exotel answers nonsense', 'InternalError')
      return callSids.length
    },
  }
  const common = { connection: env.nativeConnection, activities }
  const workflowBundle = { code: readFileSync(join(dist, 'workflow-bundle.js'), 'utf8') }
  workers = await Promise.all([
    Worker.create({ ...common, taskQueue: RECORDINGS_QUEUE, workflowBundle }),
    Worker.create({ ...common, taskQueue: EXOTEL_API_QUEUE }),
  ])
  running = Promise.all(workers.map((worker) => worker.run()))
})
beforeEach(() => {
  rounds = 0
  swept = []
})
afterAll(async () => {
  for (const worker of workers) worker.shutdown()
  await running
  await env.teardown()
})

const run = (workflow: string): Promise<unknown> =>
  env.client.workflow.execute(workflow, { workflowId: uniqueName('run'), taskQueue: RECORDINGS_QUEUE })

describe('When more calls are due than recovery enqueues in one round', () => {
  test('then it continues until none is left, and its result is the sum of all rounds', async () => {
    roundsDue = 3
    expect(await run(RECOVERY_WORKFLOW)).toEqual({ due: 15, unowned: 9, stuck: 2, more: false })
    expect(rounds).toBe(3)
  })

  test('then it leaves the rest to the next run after ten rounds', async () => {
    roundsDue = 100
    expect(await run(RECOVERY_WORKFLOW)).toEqual({ due: 50, unowned: 30, stuck: 2, more: true })
    expect(rounds).toBe(10)
  })
})

test('When one request of a link sweep fails, then the other calls are requested nevertheless', async () => {
  expect(await run(LINK_SWEEP_WORKFLOW)).toEqual({ asked: 4, found: 3 })
  expect(swept).toEqual([['a', 'b'], ['c'], ['d']])
})
