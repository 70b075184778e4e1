// Webhooks per second, against a bare Express route that verifies the same signature and inserts one row.
import { fork } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Pool } from 'undici'
import { freePort } from '../../../dev/ports.ts'
import type { BenchStack } from '../bench-stack.ts'
import { medianOf, percentile, rounded, type Result } from '../numbers.ts'
import { endOf, startProduct } from '../product.ts'
import { cpuMsOf } from '../process-usage.ts'

const CONCURRENT = 16

export interface WebhookOptions {
  dist: string
  runs: number
  requests: number
  report: (text: string) => void
}

interface Target {
  url: string
  pid: number
  stop(): Promise<void>
}

/** @returns figures for call-start and call-end of the product, and for the bare route with the same bodies */
export async function measureWebhooks(stack: BenchStack, options: WebhookOptions): Promise<Result> {
  const results: Result[] = []
  for (let run = 1; run <= options.runs; run += 1) {
    const product = await startApi(stack, options.dist)
    const callStart = await load(stack, product, 'call-start', options.requests)
    const callEnd = await load(stack, product, 'call-end', options.requests)
    await product.stop()
    const bareRoute = await startBareRoute(stack)
    const bare = await load(stack, bareRoute, 'call-end', options.requests)
    await bareRoute.stop()
    const ratio = (result: Result): number => rounded((result.perSecond as number) / (bare.perSecond as number))
    const slowest = (result: Result): number => rounded((result.p99Ms as number) / (bare.p99Ms as number))
    const result = {
      callStart,
      callEnd,
      bare,
      ratios: { callStart: ratio(callStart), callEnd: ratio(callEnd), callStartP99: slowest(callStart), callEndP99: slowest(callEnd) },
    }
    options.report(`webhooks, run ${run}: ${JSON.stringify(result)}`)
    results.push(result)
  }
  return medianOf(results)
}

/** Only the API: the runs that it starts wait for a worker. */
async function startApi(stack: BenchStack, dist: string): Promise<Target> {
  const { apiUrl, processes, stop } = await startProduct(stack, { dist, worker: false })
  return { url: `${apiUrl}/webhooks/exotel`, pid: processes.api!, stop }
}

async function startBareRoute(stack: BenchStack): Promise<Target> {
  const port = await freePort(0)
  const args = [String(port), stack.servers.databaseUrl, stack.secrets.webhookSecret]
  const child = fork(fileURLToPath(new URL('../baselines/bare-route.ts', import.meta.url)), args, {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  await once(child, 'message')
  return {
    url: `http://127.0.0.1:${port}/webhooks/exotel`,
    pid: child.pid!,
    async stop() {
      const ended = once(child, 'exit')
      child.disconnect()
      await ended
    },
  }
}

async function load(stack: BenchStack, { url, pid }: Target, route: 'call-start' | 'call-end', requests: number): Promise<Result> {
  const { origin, pathname } = new URL(url)
  const http = new Pool(origin, { connections: CONCURRENT })
  const latenciesMs: number[] = []
  let sent = 0
  const before = { atMs: performance.now(), cpuMs: cpuMsOf(pid) }
  await Promise.all(Array.from({ length: CONCURRENT }, sendAll))
  const seconds = (performance.now() - before.atMs) / 1000
  const cpuMs = (cpuMsOf(pid) - before.cpuMs) / requests
  await http.close()
  return {
    perSecond: rounded(requests / seconds),
    p50Ms: rounded(percentile(latenciesMs, 0.5)),
    p99Ms: rounded(percentile(latenciesMs, 0.99)),
    cpuMs: rounded(cpuMs),
  }

  async function sendAll(): Promise<void> {
    while (sent < requests) {
      sent += 1
      const startedAtMs = performance.now()
      const body = bodyFor(stack.newCallSid(), route)
      const signature = createHmac('sha1', stack.secrets.webhookSecret).update(body).digest('hex')
      const headers = { 'content-type': 'application/json', 'x-exotel-signature': signature }
      const response = await http.request({ path: `${pathname}/${route}`, method: 'POST', headers, body })
      await response.body.dump()
      if (response.statusCode !== 200) throw new Error(`A webhook ${route} got the status ${response.statusCode}`)
      latenciesMs.push(performance.now() - startedAtMs)
    }
  }
}

function bodyFor(callSid: string, route: 'call-start' | 'call-end'): string {
  if (route === 'call-end') return JSON.stringify(endOf(callSid))
  return JSON.stringify({ CallSid: callSid, Status: 'in-progress', Direction: 'inbound', From: '09000000001', To: '08000000001' })
}
