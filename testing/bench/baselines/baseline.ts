// A baseline as a measured system: the same steps, servers and rows as the product, without its code.
import { Client, Connection } from '@temporalio/client'
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { BenchStack } from '../bench-stack.ts'
import type { System } from '../closed-loop.ts'
import { TASK_QUEUE, type BaselineSettings, type Engine } from './settings.ts'

const WORKFLOWS = { 'temporal-host3': 'Host3Workflow', 'temporal-local': 'LocalWorkflow' } as const

export interface BaselineOptions {
  engine: Engine
  /** The link arrives by a signal this long after the start. Only for Temporal. */
  linkAfterMs?: number
  /** `recordings` or `large`. */
  folder?: string
}

/** Bundles the workflows of the baselines and creates their table. Once per run of the benchmark. */
export async function prepareBaselines({ home, database }: BenchStack): Promise<void> {
  const workflowsPath = fileURLToPath(new URL('workflows.ts', import.meta.url))
  const { code } = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') })
  writeFileSync(bundleIn(home), code)
  await database.query(`CREATE TABLE bench_calls (
    call_sid text PRIMARY KEY, state text NOT NULL DEFAULT 'awaiting', bytes bigint, sha256 text, updated_at timestamptz NOT NULL DEFAULT now())`)
}

export async function startBaseline(stack: BenchStack, { engine, linkAfterMs, folder = 'recordings' }: BaselineOptions): Promise<System> {
  const { home, servers, database, sourceUrl } = stack
  const spool = join(home, 'bench-spool')
  rmSync(spool, { recursive: true, force: true })
  mkdirSync(spool, { recursive: true })
  const settings: BaselineSettings = {
    engine,
    sourceUrl,
    folder,
    spool,
    databaseUrl: servers.databaseUrl,
    s3: servers.s3,
    temporal: { address: servers.temporal.address, namespace: servers.temporal.namespace, bundle: bundleIn(home) },
  }
  const worker = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), [JSON.stringify(settings)], {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  await once(worker, 'message')
  const connection = await Connection.connect({ address: servers.temporal.address })
  const client = new Client({ connection, namespace: servers.temporal.namespace })

  return {
    processes: { ...stack.serverPids, worker: worker.pid! },
    async submit(callSid) {
      let sentAtMs = performance.now()
      await database.query({ name: 'insert', text: 'INSERT INTO bench_calls (call_sid) VALUES ($1)', values: [callSid] })
      if (engine === 'loop') {
        worker.send(callSid)
        return sentAtMs
      }
      const isLate = linkAfterMs !== undefined
      const started = await client.workflow.start(WORKFLOWS[engine], {
        workflowId: `bench-${callSid}`,
        taskQueue: TASK_QUEUE,
        args: [callSid, isLate],
      })
      if (isLate) {
        await pause(linkAfterMs)
        sentAtMs = performance.now()
        await started.signal('linkArrived')
      }
      return sentAtMs
    },
    async stored(callSids) {
      const { rows } = await database.query<{ call_sid: string }>({
        name: 'stored-bench',
        text: `SELECT call_sid FROM bench_calls WHERE call_sid = ANY($1) AND state = 'stored'`,
        values: [callSids],
      })
      return rows.map((row) => row.call_sid)
    },
    async stop() {
      await connection.close()
      const ended = once(worker, 'exit')
      worker.disconnect()
      await ended
    },
  }
}

function bundleIn(home: string): string {
  return join(home, 'bench-workflows.js')
}
