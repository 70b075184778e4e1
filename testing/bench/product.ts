// The product as a measured system: its API and worker as in the image, and webhooks as Exotel sends them.
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'undici'
import { assertRunning, freePort } from '../../dev/ports.ts'
import type { BenchStack } from './bench-stack.ts'
import type { System } from './closed-loop.ts'

export interface Product extends System {
  apiUrl: string
  /** Sends one webhook. Resolves with the status of the response. */
  send(route: 'call-start' | 'call-end' | 'recording', fields: Record<string, string>): Promise<number>
}

export interface ProductOptions {
  /** The output folder of `npm run build`. */
  dist: string
  /** The link arrives in a further webhook this long after the call's end. Absent: the call's end contains it. */
  linkAfterMs?: number
  /** False: only the API is started. */
  worker?: boolean
  /** `recordings` or `large`. */
  folder?: string
}

const READY_TIMEOUT_MS = 60_000
const CONNECTIONS = 64

export async function startProduct(stack: BenchStack, options: ProductOptions): Promise<Product> {
  const { dist, linkAfterMs, worker: withWorker = true, folder = 'recordings' } = options
  const ports = { api: await freePort(0), apiOperations: await freePort(0), workerOperations: await freePort(0) }
  const env = environmentOf(stack)
  const start = (name: string, args: string[], more: NodeJS.ProcessEnv, operationsPort: number) => {
    const child = stack.supervisor.start({ name, file: process.execPath, args, env: { ...env, ...more }, stopSignal: 'SIGTERM' })
    return { name, child, url: `http://127.0.0.1:${operationsPort}/health/ready` }
  }
  rmSync(env.SPOOL_DIRECTORY!, { recursive: true, force: true })
  mkdirSync(env.SPOOL_DIRECTORY!, { recursive: true })
  const api = start(
    'api',
    [...stack.nodeArgs, join(dist, 'api/main.js')],
    { PORT: String(ports.api), OPERATIONS_PORT: String(ports.apiOperations) },
    ports.apiOperations,
  )
  const worker = withWorker
    ? start(
        'worker',
        [...stack.nodeArgs, '--max-semi-space-size=32', join(dist, 'worker.js')], // as `npm run worker`
        { OPERATIONS_PORT: String(ports.workerOperations) },
        ports.workerOperations,
      )
    : undefined
  const started = worker ? [api, worker] : [api]
  for (const { name, child, url } of started) await untilReady(url, () => assertRunning(child, name, stack.supervisor.logOf(name)))
  const apiUrl = `http://127.0.0.1:${ports.api}`
  const http = new Pool(apiUrl, { connections: CONNECTIONS })
  const linkTo = (callSid: string): string => `${stack.sourceUrl}/${folder}/${callSid}`

  return {
    apiUrl,
    processes: { ...stack.serverPids, ...Object.fromEntries(started.map(({ name, child }) => [name, child.pid!])) },
    send,
    submit: (callSid) => (linkAfterMs === undefined ? end(callSid, linkTo(callSid)) : endThenLink(callSid, linkAfterMs)),
    async stored(callSids) {
      const { rows } = await stack.database.query<{ call_sid: string }>({
        name: 'stored',
        text: `SELECT call_sid FROM calls WHERE call_sid = ANY($1) AND recording_state = 'stored'`,
        values: [callSids],
      })
      return rows.map((row) => row.call_sid)
    },
    async stop() {
      await http.close()
      for (const { child } of started.toReversed()) {
        const ended = once(child, 'exit')
        child.kill('SIGTERM')
        await ended
      }
    },
  }

  async function send(route: string, fields: Record<string, string>): Promise<number> {
    const body = JSON.stringify(fields)
    const signature = createHmac('sha1', stack.secrets.webhookSecret).update(body).digest('hex')
    const headers = { 'content-type': 'application/json', 'x-exotel-signature': signature }
    const response = await http.request({ path: `/webhooks/exotel/${route}`, method: 'POST', headers, body })
    await response.body.dump()
    return response.statusCode
  }

  async function end(callSid: string, link?: string): Promise<number> {
    const sentAtMs = performance.now()
    await accepted('call-end', endOf(callSid, link))
    return sentAtMs
  }

  async function endThenLink(callSid: string, afterMs: number): Promise<number> {
    await end(callSid)
    await pause(afterMs)
    const sentAtMs = performance.now()
    await accepted('recording', { CallSid: callSid, RecordingUrl: linkTo(callSid) })
    return sentAtMs
  }

  async function accepted(route: 'call-end' | 'recording', fields: Record<string, string>): Promise<void> {
    const status = await send(route, fields)
    if (status !== 200) throw new Error(`The webhook ${route} got the status ${status}`)
  }
}

export function endOf(callSid: string, link?: string): Record<string, string> {
  return {
    CallSid: callSid,
    EventType: 'terminal',
    Status: 'completed',
    Direction: 'inbound',
    From: '09000000001',
    To: '08000000001',
    ConversationDuration: '37',
    DateUpdated: new Date().toISOString(),
    ...(link !== undefined && { RecordingUrl: link }),
  }
}

function environmentOf({ home, servers, secrets, sourceUrl }: BenchStack): NodeJS.ProcessEnv {
  return {
    ...process.env,
    NODE_ENV: 'test',
    DATABASE_URL: servers.applicationDatabaseUrl,
    TEMPORAL_ADDRESS: servers.temporal.address,
    TEMPORAL_NAMESPACE: servers.temporal.namespace,
    WASABI_ENDPOINT: servers.s3.endpoint,
    WASABI_REGION: servers.s3.region,
    WASABI_BUCKET: servers.s3.bucket,
    WASABI_ACCESS_KEY: servers.s3.accessKeyId,
    WASABI_SECRET_KEY: servers.s3.secretAccessKey,
    EXOTEL_WEBHOOK_SECRET: secrets.webhookSecret,
    EXOTEL_ACCOUNT_SID: secrets.accountSid,
    EXOTEL_API_KEY: secrets.apiKey,
    EXOTEL_API_TOKEN: secrets.apiToken,
    EXOTEL_API_BASE_URL: sourceUrl,
    EXOTEL_RECORDING_HOSTS: '127.0.0.1',
    EXOTEL_ALLOW_LOCAL: 'true',
    SPOOL_DIRECTORY: join(home, 'spool'),
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
  }
}

/** @param check throws if waiting is useless */
async function untilReady(url: string, check: () => void): Promise<void> {
  for (const deadline = performance.now() + READY_TIMEOUT_MS; ; await pause(100)) {
    check()
    const isOk = await fetch(url).then(
      async (response) => {
        await response.body?.cancel()
        return response.ok
      },
      () => false,
    )
    if (isOk) return
    if (performance.now() > deadline) throw new Error(`${url} is not ready after ${READY_TIMEOUT_MS / 1000} s`)
  }
}
