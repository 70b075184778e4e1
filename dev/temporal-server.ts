import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { binaries } from './fetch-servers.mjs'
import type { Keeper } from './keeper.ts'
import { freePort, waitForPort } from './ports.ts'

export interface TemporalOptions {
  /** Absent: in memory. */
  file?: string
  port: number
  /** Absent: no Web UI. */
  uiPort?: number
}

/** Without these the file costs two thirds of the speed. */
const FILE_PRAGMAS = ['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', 'synchronous=normal']
/** Its defaults pace an idle call by polls: 380 ms instead of 60. */
const DYNAMIC_CONFIG = [
  'history.transferProcessorMaxPollRPS=1000',
  'history.timerProcessorMaxPollRPS=1000',
  'system.enableActivityEagerExecution=true',
  'system.namespaceCacheRefreshInterval="200ms"',
  'system.forceSearchAttributesCacheRefreshOnRead=true',
]

export async function startTemporal(
  keeper: Keeper,
  { file, port: wanted, uiPort: wantedUi }: TemporalOptions,
): Promise<{ address: string; uiUrl?: string }> {
  const port = await freePort(wanted)
  const uiPort = wantedUi === undefined ? undefined : await freePort(wantedUi)
  if (file) mkdirSync(dirname(file), { recursive: true })
  const child = keeper.start({
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
      ...(uiPort === undefined ? ['--headless'] : ['--ui-port', String(uiPort)]),
      ...(file ? ['--db-filename', file, ...FILE_PRAGMAS] : []),
      ...DYNAMIC_CONFIG.flatMap((each) => ['--dynamic-config-value', each]),
    ],
    stopSignal: 'SIGTERM',
  })
  await waitForPort(port, child, 'Temporal')
  return { address: `127.0.0.1:${port}`, ...(uiPort !== undefined && { uiUrl: `http://127.0.0.1:${uiPort}` }) }
}
