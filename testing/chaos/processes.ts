// Starts the APIs and workers of a run. One of each starts while the database lacks the newest migration, as in a release whose
// migration job is slow.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Supervisor } from '../../dev/supervisor.ts'
import { freePort } from '../../dev/ports.ts'
import { applyMigrations, rollBackNewest } from './migrations.ts'

export interface ProcessOptions {
  home: string
  /** The output folder of `npm run build`. */
  dist: string
  databaseUrl: string
  apiPorts: Record<'api-1' | 'api-2', number>
  settings: (from: 'api' | 'worker') => NodeJS.ProcessEnv
  /** How long the first two processes wait for the newest migration. */
  behindForMs: number
}

const READY_TIMEOUT_MS = 60_000
const POLL_MS = 200

/**
 * Resolves when all four processes are ready.
 * @returns wrong: the processes that reported readiness before the newest migration was applied
 */
export async function startProcesses(
  supervisor: Supervisor,
  options: ProcessOptions,
): Promise<{ spoolDirectories: string[]; wrong: string[] }> {
  const { home, dist, databaseUrl, apiPorts, settings, behindForMs } = options
  const health = new Map<string, string>()
  const migration = await rollBackNewest(databaseUrl)
  const spoolDirectories = [await startWorker('worker-1')]
  startApi('api-1')
  const early = await readyWithin(behindForMs)
  await applyMigrations(databaseUrl)
  spoolDirectories.push(await startWorker('worker-2'))
  startApi('api-2')
  await allReady()
  return { spoolDirectories, wrong: early.map((name) => `${name} reported that it was ready before ${migration} was applied`) }

  async function startWorker(name: string): Promise<string> {
    const spool = join(home, `spool-${name}`)
    mkdirSync(spool, { recursive: true })
    const port = await freePort(0)
    health.set(name, `http://127.0.0.1:${port}/health/ready`)
    const env = { ...settings('worker'), WORKER_NAME: name, SPOOL_DIRECTORY: spool, OPERATIONS_PORT: String(port) }
    supervisor.start({ name, file: process.execPath, args: [join(dist, 'worker.js'), name], env, stopSignal: 'SIGTERM' })
    return spool
  }

  function startApi(name: 'api-1' | 'api-2'): void {
    health.set(name, `http://127.0.0.1:${apiPorts[name]}/health/ready`)
    const env = { ...settings('api'), PORT: String(apiPorts[name]), OPERATIONS_PORT: '0' }
    supervisor.start({ name, file: process.execPath, args: [join(dist, 'api/main.js'), name], env, stopSignal: 'SIGTERM' })
  }

  /** Returns the processes that report readiness at any time during this period. */
  async function readyWithin(ms: number): Promise<string[]> {
    const ready = new Set<string>()
    for (const deadline = performance.now() + ms; performance.now() < deadline; await pause(POLL_MS))
      for (const name of await readyNow()) ready.add(name)
    return [...ready]
  }

  async function allReady(): Promise<void> {
    for (const deadline = performance.now() + READY_TIMEOUT_MS; ; await pause(POLL_MS)) {
      const ready = await readyNow()
      if (ready.length === health.size) return
      if (performance.now() > deadline)
        throw new Error(
          `Not all of ${[...health.keys()].join(', ')} are ready after ${READY_TIMEOUT_MS / 1000} s, only: ${ready.join(', ') || 'none'}`,
        )
    }
  }

  async function readyNow(): Promise<string[]> {
    const checks = [...health].map(async ([name, url]) => ((await isReady(url)) ? [name] : []))
    return (await Promise.all(checks)).flat()
  }
}

function isReady(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(1000) }).then(
    async (response) => {
      await response.body?.cancel()
      return response.ok
    },
    () => false,
  )
}
