import { Connection } from '@temporalio/client'
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { binaries } from './fetch-servers.mjs'
import type { Supervisor } from './supervisor.ts'
import { assertRunning, freePort, waitForPort } from './ports.ts'

export interface TemporalOptions {
  /** Database file. Default: in memory. */
  file?: string
  port: number
  /** Port of the Web UI. Default: no Web UI. */
  uiPort?: number
}

/** Without these, a database file reduces the throughput to a third. */
const FILE_PRAGMAS = ['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', 'synchronous=normal']
/** With the defaults for polling, one call on an idle server takes 380 ms instead of 60. */
const DYNAMIC_CONFIG = [
  'history.transferProcessorMaxPollRPS=1000',
  'history.timerProcessorMaxPollRPS=1000',
  'system.enableActivityEagerExecution=true',
  'system.namespaceCacheRefreshInterval="200ms"',
  'system.forceSearchAttributesCacheRefreshOnRead=true',
]

export async function startTemporal(
  supervisor: Supervisor,
  { file, port: wanted, uiPort: wantedUi }: TemporalOptions,
): Promise<{ address: string; uiUrl?: string }> {
  const port = await freePort(wanted)
  const uiPort = wantedUi === undefined ? undefined : await freePort(wantedUi)
  if (file) mkdirSync(dirname(file), { recursive: true })
  const mark = markOf(file)
  const child = supervisor.start({
    name: 'temporal',
    file: binaries.temporal(),
    args: [
      'server',
      'start-dev',
      '--ip',
      '127.0.0.1',
      '--port',
      String(port),
      '--log-level',
      'error',
      '--namespace',
      mark,
      ...(uiPort === undefined ? ['--headless'] : ['--ui-port', String(uiPort)]),
      ...(file ? ['--db-filename', file, ...FILE_PRAGMAS] : []),
      ...DYNAMIC_CONFIG.flatMap((each) => ['--dynamic-config-value', each]),
    ],
    stopSignal: 'SIGTERM',
  })
  await waitForPort(port, child, 'Temporal')
  await assertOwnServer(`127.0.0.1:${port}`, mark)
  assertRunning(child, 'Temporal')
  return { address: `127.0.0.1:${port}`, ...(uiPort !== undefined && { uiUrl: `http://127.0.0.1:${uiPort}` }) }
}

/** The name of a namespace that identifies this server. It is the same at the next start with the same file. */
function markOf(file: string | undefined): string {
  const place = file === undefined ? randomUUID() : resolve(file)
  return `stack-${createHash('sha256').update(place).digest('hex').slice(0, 12)}`
}

/** @throws if a server without our namespace responds on the port */
async function assertOwnServer(address: string, mark: string): Promise<void> {
  const connection = await Connection.connect({ address })
  try {
    await connection.workflowService.describeNamespace({ namespace: mark })
  } catch (error) {
    throw new Error(`Another Temporal server responds at ${address}: run the command again, or stop that server.`, { cause: error })
  } finally {
    await connection.close()
  }
}
