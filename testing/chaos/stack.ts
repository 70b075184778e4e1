// The whole backend with a proxy on each connection between its processes: two APIs, two workers, and one server of each kind.
import type { Supervisor } from '../../dev/supervisor.ts'
import { freePort } from '../../dev/ports.ts'
import { loadSecrets } from '../../dev/secrets.ts'
import { startServers } from '../../dev/stack.ts'
import { startSimulator, type Simulator } from '../simulator/server.ts'
import type { Places } from './checker.ts'
import { pick, type LineName, type Random, type RunConditions, type WorkflowFault } from './plan.ts'
import { startProcesses } from './processes.ts'
import { startShortPages } from './short-pages.ts'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'
import { startTemporalProxy } from './temporal-proxy.ts'

export interface ChaosStack {
  simulator: Simulator
  lines: Record<LineName, TcpProxy>
  places: Places
  /** Faults of the processes during their start. */
  wrongAtStart: string[]
  close(): Promise<void>
}

/** One minute of waiting takes one second. */
const WAIT_SCALE = 1 / 60
/** Space for about six recordings, so that the spool is often full. */
const SPOOL_MAX_BYTES = 2 * 1024 ** 2

export interface ChaosStackOptions {
  home: string
  /** The output folder of `npm run build`. */
  dist: string
  random: Random
  conditions: RunConditions
  /** Faults of workflow starts by CallSid. */
  workflowFaults: ReadonlyMap<string, WorkflowFault>
}

/** Resolves when all processes are ready. */
export async function startChaosStack(
  supervisor: Supervisor,
  { home, dist, random, conditions, workflowFaults }: ChaosStackOptions,
): Promise<ChaosStack> {
  const secrets = loadSecrets(home)
  const servers = await startServers(supervisor, { home, secrets, kind: 'usual', report: () => {} })
  const ports = { 'api-1': await freePort(0), 'api-2': await freePort(0) }
  const lines = {} as Record<LineName, TcpProxy>
  const { accountSid, apiKey, apiToken, webhookSecret: secret } = secrets
  const simulator = await startSimulator({
    accountSid,
    apiKey,
    apiToken,
    secret,
    basic: `exotel:${secret}`,
    apiUrl: () => `http://127.0.0.1:${lines[pick(random, ['exotel-api-1', 'exotel-api-2'] as const)].port}`,
    publicUrl: () => `http://127.0.0.1:${lines['worker-exotel'].port}`,
    waitScale: WAIT_SCALE,
    port: 0,
  })
  const [database, temporal] = [new URL(servers.applicationDatabaseUrl), servers.temporal.address]
  const temporalProxy = await startTemporalProxy(temporal, workflowFaults)
  const shortPages = await startShortPages(servers.s3, conditions.keysInPage)
  const targets: Record<LineName, string> = {
    'api-postgres': database.host,
    'worker-postgres': database.host,
    'api-temporal': `127.0.0.1:${temporalProxy.port}`,
    'worker-temporal': temporal,
    'worker-s3': shortPages.address,
    'worker-exotel': new URL(simulator.url).host,
    'exotel-api-1': `127.0.0.1:${ports['api-1']}`,
    'exotel-api-2': `127.0.0.1:${ports['api-2']}`,
  }
  for (const [line, target] of Object.entries(targets) as [LineName, string][]) {
    const [host, port] = target.split(':') as [string, string]
    lines[line] = await startTcpProxy(host, Number(port))
  }
  const settings = (from: 'api' | 'worker'): NodeJS.ProcessEnv => ({
    ...process.env,
    NODE_ENV: 'test',
    DATABASE_URL: Object.assign(new URL(database), { port: lines[`${from}-postgres`].port }).href,
    TEMPORAL_ADDRESS: `127.0.0.1:${lines[`${from}-temporal`].port}`,
    TEMPORAL_NAMESPACE: servers.temporal.namespace,
    WASABI_ENDPOINT: `http://127.0.0.1:${lines['worker-s3'].port}`,
    WASABI_REGION: servers.s3.region,
    WASABI_BUCKET: servers.s3.bucket,
    WASABI_ACCESS_KEY: servers.s3.accessKeyId,
    WASABI_SECRET_KEY: servers.s3.secretAccessKey,
    EXOTEL_WEBHOOK_SECRET: secret,
    EXOTEL_WEBHOOK_BASIC: `exotel:${secret}`,
    EXOTEL_ACCOUNT_SID: accountSid,
    EXOTEL_API_KEY: apiKey,
    EXOTEL_API_TOKEN: apiToken,
    EXOTEL_API_BASE_URL: `http://127.0.0.1:${lines['worker-exotel'].port}`,
    EXOTEL_RECORDING_HOSTS: '127.0.0.1',
    EXOTEL_ALLOW_LOCAL: 'true',
    RECORDING_WAIT_SCALE: String(WAIT_SCALE),
    RECOVERY_PAUSES_MINUTES: '15,60,180',
    SPOOL_MAX_BYTES: String(SPOOL_MAX_BYTES),
    SPOOL_LOST_AFTER_SECONDS: '20',
    SHUTDOWN_GRACE_SECONDS: '3',
  })
  const { spoolDirectories, wrong } = await startProcesses(supervisor, {
    home,
    dist,
    databaseUrl: servers.databaseUrl,
    apiPorts: ports,
    settings,
    behindForMs: conditions.behindForMs,
  })
  return {
    simulator,
    lines,
    places: { databaseUrl: servers.databaseUrl, s3: servers.s3, temporal: servers.temporal, spoolDirectories },
    wrongAtStart: wrong,
    async close() {
      await simulator.close()
      await Promise.all(Object.values(lines).map((line) => line.close()))
      await Promise.all([temporalProxy.close(), shortPages.close()])
    },
  }
}
