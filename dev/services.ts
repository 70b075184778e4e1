// Starts the backend's processes on a stack of servers: Exotel simulator, API, worker.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ChildProcess } from 'node:child_process'
import type { Supervisor } from './supervisor.ts'
import { assertRunning, freePort } from './ports.ts'
import { startOf } from './process-start.mjs'
import type { Secrets } from './secrets.ts'
import type { Servers } from './stack.ts'

/** The content of `.data/dev.json` while the stack runs. Tools and tests rely on these names. */
export interface DevStack {
  pid: number
  /** Start time of that process, because its pid may be reused later. */
  processStart: string | undefined
  apiUrl: string
  operationsUrls: { api: string; worker: string }
  /** For the role that owns the tables, whatever role the processes use. */
  databaseUrl: string
  /** For the role of API and worker. */
  applicationDatabaseUrl: string
  temporalAddress: string
  temporalNamespace: string
  temporalUiUrl: string | undefined
  s3: Servers['s3']
  exotel: { webhookSecret: string; accountSid: string; apiKey: string; apiToken: string; apiBaseUrl: string }
  devTestToken: string
  simulatorUrl: string | undefined
  spoolDirectory: string
}

const root = fileURLToPath(new URL('..', import.meta.url))
const PORTS = { api: 3000, apiOperations: 9464, workerOperations: 9465, simulator: 4010 }
/** One minute of waiting takes one second, because people are watching. */
const DEV_WAIT_SCALE = String(1 / 60)
const READY_TIMEOUT_MS = 60_000
const ANSWER_TIMEOUT_MS = 5000

export async function startServices(supervisor: Supervisor, servers: Servers, secrets: Secrets, home: string): Promise<DevStack> {
  const port = await freePort(Number(process.env.PORT ?? PORTS.api))
  const operations = { api: await freePort(PORTS.apiOperations), worker: await freePort(PORTS.workerOperations) }
  const simulatorPort = process.env.EXOTEL_API_BASE_URL ? undefined : await freePort(PORTS.simulator)
  const simulatorUrl = simulatorPort === undefined ? undefined : `http://127.0.0.1:${simulatorPort}`
  const stack: DevStack = {
    pid: process.pid,
    processStart: startOf(process.pid),
    apiUrl: `http://127.0.0.1:${port}`,
    operationsUrls: { api: `http://127.0.0.1:${operations.api}`, worker: `http://127.0.0.1:${operations.worker}` },
    databaseUrl: servers.databaseUrl,
    applicationDatabaseUrl: servers.applicationDatabaseUrl,
    temporalAddress: servers.temporal.address,
    temporalNamespace: servers.temporal.namespace,
    temporalUiUrl: servers.temporal.uiUrl,
    s3: servers.s3,
    exotel: {
      webhookSecret: process.env.EXOTEL_WEBHOOK_SECRET ?? secrets.webhookSecret,
      accountSid: process.env.EXOTEL_ACCOUNT_SID ?? secrets.accountSid,
      apiKey: process.env.EXOTEL_API_KEY ?? secrets.apiKey,
      apiToken: process.env.EXOTEL_API_TOKEN ?? secrets.apiToken,
      apiBaseUrl: process.env.EXOTEL_API_BASE_URL ?? simulatorUrl ?? '',
    },
    devTestToken: process.env.DEV_TEST_TOKEN ?? secrets.devTestToken,
    simulatorUrl,
    spoolDirectory: process.env.SPOOL_DIRECTORY ?? join(home, 'spool'),
  }
  mkdirSync(stack.spoolDirectory, { recursive: true })
  const env = environmentOf(stack, port)
  const program = (name: string, script: string, more: NodeJS.ProcessEnv = {}) => ({
    name,
    file: process.execPath,
    args: ['--import', 'tsx', script],
    cwd: root,
    env: { ...env, ...more },
    stopSignal: 'SIGTERM' as const,
  })
  const worker = supervisor.start(program('worker', 'worker.ts', { OPERATIONS_PORT: String(operations.worker) }))
  const api = supervisor.start(program('api', 'api/main.ts', { OPERATIONS_PORT: String(operations.api) }))
  // The API opens its operations port last. If it responds there, its other port is open as well.
  const starting = [
    isReady(supervisor, 'worker', worker, stack.operationsUrls.worker),
    isReady(supervisor, 'api', api, stack.operationsUrls.api),
  ]
  if (simulatorUrl) {
    const own = { SIMULATOR_PORT: String(simulatorPort), SIMULATOR_API_URL: stack.apiUrl }
    starting.push(isReady(supervisor, 'simulator', supervisor.start(program('simulator', 'testing/simulator/main.ts', own)), simulatorUrl))
  }
  await Promise.all(starting)
  return stack
}

function environmentOf(stack: DevStack, port: number): NodeJS.ProcessEnv {
  const local = stack.simulatorUrl ? { EXOTEL_ALLOW_LOCAL: 'true', EXOTEL_RECORDING_HOSTS: '127.0.0.1' } : {}
  return {
    ...local,
    NODE_ENV: 'development',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true', // otherwise the AWS SDK prints a warning at every start on Node 20
    EXOTEL_WEBHOOK_BASIC: `exotel:${stack.exotel.webhookSecret}`, // for GET requests, which have no body to sign
    RECORDING_WAIT_SCALE: stack.simulatorUrl ? DEV_WAIT_SCALE : '1',
    ...process.env,
    PORT: String(port),
    DATABASE_URL: stack.applicationDatabaseUrl,
    TEMPORAL_ADDRESS: stack.temporalAddress,
    TEMPORAL_NAMESPACE: stack.temporalNamespace,
    TEMPORAL_UI_URL: stack.temporalUiUrl ?? '',
    WASABI_ENDPOINT: stack.s3.endpoint,
    WASABI_REGION: stack.s3.region,
    WASABI_BUCKET: stack.s3.bucket,
    WASABI_ACCESS_KEY: stack.s3.accessKeyId,
    WASABI_SECRET_KEY: stack.s3.secretAccessKey,
    EXOTEL_WEBHOOK_SECRET: stack.exotel.webhookSecret,
    EXOTEL_ACCOUNT_SID: stack.exotel.accountSid,
    EXOTEL_API_KEY: stack.exotel.apiKey,
    EXOTEL_API_TOKEN: stack.exotel.apiToken,
    EXOTEL_API_BASE_URL: stack.exotel.apiBaseUrl,
    DEV_TEST_TOKEN: stack.devTestToken,
    SPOOL_DIRECTORY: stack.spoolDirectory,
  }
}

/**
 * Waits until this very process responds that it is ready. Another program may have opened the port after it was chosen.
 * @throws if the process has ended or is not ready in time
 */
async function isReady(supervisor: Supervisor, name: string, child: ChildProcess, url: string): Promise<void> {
  const hint = `see ${supervisor.logOf(name)}`
  let isOther = false
  for (const deadline = Date.now() + READY_TIMEOUT_MS; Date.now() < deadline; await pause(50)) {
    assertRunning(child, `The ${name} process`, hint)
    const answer = await readHealth(`${url}/health/ready`)
    if (answer?.pid === child.pid && answer?.isOk) return
    isOther = answer !== undefined && answer.pid !== child.pid
  }
  if (isOther) throw new Error(`Another program responds at ${url}: run the command again, or stop that program.`)
  throw new Error(`${url} is not ready after ${READY_TIMEOUT_MS / 1000} s: ${hint}`)
}

/** @returns the pid and status of the process that responds at this URL; undefined if none does */
async function readHealth(url: string): Promise<{ pid: unknown; isOk: boolean } | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })
    const body = (await response.json().catch(() => undefined)) as { pid?: unknown } | null | undefined
    return { pid: body?.pid, isOk: response.ok }
  } catch {
    return undefined
  }
}
