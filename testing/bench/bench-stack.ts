// The servers that the product and the baselines share: PostgreSQL, Temporal, S3 and the source of the recordings.
import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { freePort, waitForPort } from '../../dev/ports.ts'
import { loadSecrets, type Secrets } from '../../dev/secrets.ts'
import { startServers, type Servers } from '../../dev/stack.ts'
import { clearLeftovers, Supervisor } from '../../dev/supervisor.ts'
import { pidListeningOn } from './listening-process.ts'

export interface BenchStack {
  home: string
  supervisor: Supervisor
  servers: Servers
  secrets: Secrets
  /** Base URL of the source. */
  sourceUrl: string
  /** Connects as the owner of the tables. */
  database: pg.Pool
  /** Process ids of the servers. */
  serverPids: { temporal: number; postgres: number; s3: number }
  /** Node's options for API and worker. */
  nodeArgs: string[]
  newCallSid(): string
  stop(): Promise<void>
}

const RECORDING = fileURLToPath(new URL('../simulator/recordings/outbound-mono.mp3', import.meta.url))
export const LARGE_BYTES = 1024 ** 3

/** @param profiles folder for CPU profiles of API and worker; absent: they are not profiled */
export async function startBenchStack(home: string, profiles?: string): Promise<BenchStack> {
  await clearLeftovers(home)
  rmSync(home, { recursive: true, force: true })
  mkdirSync(home, { recursive: true })
  const supervisor = new Supervisor(home)
  const secrets = loadSecrets(home)
  const servers = await startServers(supervisor, { home, secrets, kind: 'usual', report: () => {} })
  const port = await freePort(0)
  const source = supervisor.start({
    name: 'source',
    file: process.execPath,
    args: ['--import', 'tsx', fileURLToPath(new URL('source.ts', import.meta.url)), String(port), RECORDING, String(LARGE_BYTES)],
    stopSignal: 'SIGTERM',
  })
  await waitForPort(port, source, 'The source of recordings')
  const database = new pg.Pool({ connectionString: servers.databaseUrl, max: 2 })
  database.on('error', () => {}) // the server is stopped at the end
  const run = randomBytes(4).toString('hex')
  let calls = 0
  return {
    home,
    supervisor,
    servers,
    secrets,
    sourceUrl: `http://127.0.0.1:${port}`,
    database,
    serverPids: {
      temporal: pidListeningOn(portOf(`http://${servers.temporal.address}`)),
      postgres: pidListeningOn(portOf(servers.databaseUrl)),
      s3: pidListeningOn(portOf(servers.s3.endpoint)),
    },
    nodeArgs: profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`],
    newCallSid: () => `${run}${String((calls += 1)).padStart(24, '0')}`,
    async stop() {
      await database.end()
      await supervisor.stop()
      rmSync(join(home), { recursive: true, force: true })
    },
  }
}

function portOf(url: string): number {
  return Number(new URL(url).port)
}
