// The whole backend with every line between its processes in our hands: two APIs, two workers, each server once.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Keeper } from '../dev/keeper.ts'
import { freePort } from '../dev/ports.ts'
import { loadSecrets } from '../dev/secrets.ts'
import { startServers } from '../dev/stack.ts'
import { startSimulator, type Simulator } from '../simulator/server.ts'
import type { Places } from './checker.ts'
import { pick, type LineName, type Random } from './plan.ts'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

export interface ChaosStack {
  simulator: Simulator
  lines: Record<LineName, TcpProxy>
  places: Places
  close(): Promise<void>
}

/** A minute takes a second. */
const WAIT_SCALE = 1 / 60
/** Half a dozen recordings: room is short all the time. */
const SPOOL_MAX_BYTES = 2 * 1024 ** 2

/** @param dist what `npm run build` makes */
export async function startChaosStack(
  keeper: Keeper,
  { home, dist, random }: { home: string; dist: string; random: Random },
): Promise<ChaosStack> {
  const secrets = loadSecrets(home)
  const servers = await startServers(keeper, { home, secrets, kind: 'usual', report: () => {} })
  const ports = { 'api-1': await freePort(0), 'api-2': await freePort(0) }
  const lines = {} as Record<LineName, TcpProxy>
  const { accountSid, apiKey, apiToken, webhookSecret: secret } = secrets
  const simulator = await startSimulator({
    accountSid,
    apiKey,
    apiToken,
    secret,
    apiUrl: () => `http://127.0.0.1:${lines[pick(random, ['exotel-api-1', 'exotel-api-2'] as const)].port}`,
    publicUrl: () => `http://127.0.0.1:${lines['worker-exotel'].port}`,
    waitScale: WAIT_SCALE,
    port: 0,
  })
  const [database, temporal] = [new URL(servers.applicationDatabaseUrl), servers.temporal.address]
  const targets: Record<LineName, string> = {
    'api-postgres': database.host,
    'worker-postgres': database.host,
    'api-temporal': temporal,
    'worker-temporal': temporal,
    'worker-s3': new URL(servers.s3.endpoint).host,
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
  const spoolDirectories: string[] = []
  for (const name of ['worker-1', 'worker-2']) {
    const spool = join(home, `spool-${name}`)
    spoolDirectories.push(spool)
    mkdirSync(spool, { recursive: true })
    const env = { ...settings('worker'), WORKER_NAME: name, SPOOL_DIRECTORY: spool, OPERATIONS_PORT: '0' }
    keeper.start({ name, file: process.execPath, args: [join(dist, 'worker.js'), name], env, stopSignal: 'SIGTERM' })
  }
  for (const name of ['api-1', 'api-2'] as const) {
    const env = { ...settings('api'), PORT: String(ports[name]), OPERATIONS_PORT: '0' }
    keeper.start({ name, file: process.execPath, args: [join(dist, 'api/main.js'), name], env, stopSignal: 'SIGTERM' })
  }
  return {
    simulator,
    lines,
    places: { databaseUrl: servers.databaseUrl, s3: servers.s3, temporal: servers.temporal, spoolDirectories },
    async close() {
      await simulator.close()
      await Promise.all(Object.values(lines).map((line) => line.close()))
    },
  }
}
