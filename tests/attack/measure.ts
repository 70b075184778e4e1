// What a process costs and how fast another client is answered, while something else happens.
import { execFileSync } from 'node:child_process'
import { request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { newCallSid } from '../support/servers.ts'
import { sign } from '../support/webhook.ts'

export interface Target {
  apiUrl: string
  metricsUrl: string
  pid: number
}

export interface Measured {
  /** The most resident memory. */
  memoryMB: number
  /** The longest delay of the event loop. */
  loopDelayMs: number
  /** The longest answer time of another client, who asks for readiness and sends webhooks. */
  answerMs: number
  /** Requests of that client without the right answer. */
  failures: number
}

const PROBE_EVERY_MS = 50
const ANSWER_TIMEOUT_MS = 20_000
/** Another address than the attacker's, where the machine has one. */
const OTHER_CLIENT = process.platform === 'linux' ? '127.0.0.2' : '127.0.0.1'

/** Measures until `work` has ended. */
export async function measure(target: Target, work: () => Promise<unknown>): Promise<Measured> {
  const measured: Measured = { memoryMB: residentMB(target.pid), loopDelayMs: 0, answerMs: 0, failures: 0 }
  await loopDelayMs(target) // reading it begins a new measurement
  const end = new AbortController()
  const probing = probe(target, measured, end.signal)
  await work().finally(() => end.abort())
  await probing
  measured.loopDelayMs = await loopDelayMs(target)
  return measured
}

async function probe(target: Target, measured: Measured, end: AbortSignal): Promise<void> {
  for (let i = 0; !end.aborted; i += 1) {
    measured.memoryMB = Math.max(measured.memoryMB, residentMB(target.pid))
    const began = performance.now()
    const status = await (i % 2 === 0 ? ask(target, 'GET', '/health/ready') : sendWebhook(target))
    measured.answerMs = Math.max(measured.answerMs, performance.now() - began)
    if (status !== 200) measured.failures += 1
    await pause(PROBE_EVERY_MS)
  }
}

function sendWebhook(target: Target): Promise<number> {
  return ask(target, 'POST', '/webhooks/exotel/call-start', JSON.stringify({ CallSid: newCallSid(), Status: 'in-progress' }))
}

/** On a connection of its own. @returns the status; 0 where there was no answer */
function ask({ apiUrl }: Target, method: string, path: string, body = ''): Promise<number> {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'x-exotel-signature': sign(body) }
  return new Promise((resolve) => {
    const asked = request(`${apiUrl}${path}`, { method, headers, agent: false, localAddress: OTHER_CLIENT, timeout: ANSWER_TIMEOUT_MS })
    asked.on('response', (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
      response.on('error', () => resolve(0))
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve(0))
    asked.end(body)
  })
}

function residentMB(pid: number): number {
  return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })) / 1024
}

async function loopDelayMs({ metricsUrl }: Target): Promise<number> {
  const text = await (await fetch(metricsUrl)).text()
  return Number(/^nodejs_eventloop_lag_max_seconds (\S+)/m.exec(text)?.[1] ?? 0) * 1000
}
