// The APIs and workers of a run. One of each starts while the database is one migration behind, as in a release whose job is slow.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Supervisor } from '../../dev/supervisor.ts'
import { freePort } from '../../dev/ports.ts'
import { applyMigrations, rollBackNewest } from './migrations.ts'

export interface ProcessOptions {
  home: string
  /** What `npm run build` makes. */
  dist: string
  databaseUrl: string
  apiPorts: Record<'api-1' | 'api-2', number>
  settings: (from: 'api' | 'worker') => NodeJS.ProcessEnv
  /** How long the first two processes wait for the newest migration. */
  behindForMs: number
}

const READY_WITHIN_MS = 60_000
const POLL_MS = 200

/**
 * Resolves once all four are ready.
 * @returns what a process did wrong while the database was behind
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
  return { spoolDirectories, wrong: early.map((name) => `${name} said that it was ready before ${migration} was applied`) }

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

  /** The names of the processes that say so at any time. */
  async function readyWithin(ms: number): Promise<string[]> {
    const ready = new Set<string>()
    for (const deadline = performance.now() + ms; performance.now() < deadline; await pause(POLL_MS))
      for (const name of await readyNow()) ready.add(name)
    return [...ready]
  }

  async function allReady(): Promise<void> {
    for (const deadline = performance.now() + READY_WITHIN_MS; ; await pause(POLL_MS)) {
      const ready = await readyNow()
      if (ready.length === health.size) return
      if (performance.now() > deadline) throw new Error(`Of ${[...health.keys()].join(', ')} only these are ready: ${ready.join(', ')}`)
    }
  }

  async function readyNow(): Promise<string[]> {
    const looks = [...health].map(async ([name, url]) => ((await isReady(url)) ? [name] : []))
    return (await Promise.all(looks)).flat()
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
