// Measures the memory and event loop delay of a process, and the response time of another client, during an attack.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Probed } from './probe.ts'

export interface Target {
  apiUrl: string
  metricsUrl: string
  pid: number
  /** The longest event loop delay of all readings. Each reading of the metrics starts a new measurement. */
  loopDelayMs: number
}

export type Measured = Probed & Pick<Target, 'loopDelayMs'>

const PROBE = fileURLToPath(new URL('./probe.ts', import.meta.url))

/** Measures until `work` has ended. */
export async function measure(target: Target, work: () => Promise<unknown>): Promise<Measured> {
  const probe = spawn(process.execPath, ['--import', 'tsx', PROBE, target.apiUrl, String(target.pid)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: probe.stdout })
  let last = ''
  lines.on('line', (line) => (last = line))
  await once(lines, 'line') // printed after the first response
  await readMetrics(target)
  target.loopDelayMs = 0
  await work()
  await readMetrics(target)
  probe.stdin.end()
  await once(lines, 'close')
  const { memoryMB, answerMs, failures } = JSON.parse(last) as Probed
  return { memoryMB, loopDelayMs: Math.round(target.loopDelayMs), answerMs: Math.round(answerMs), failures }
}

/** The number of open sockets of the process, including those to its servers. */
export async function openSockets(target: Target): Promise<number> {
  return (await readMetrics(target))('nodejs_active_resources{type="TCPSocketWrap"}')
}

async function readMetrics(target: Target): Promise<(name: string) => number> {
  const lines = (await (await fetch(target.metricsUrl)).text()).split('\n')
  const metric = (name: string): number => Number(lines.find((line) => line.startsWith(`${name} `))?.slice(name.length) ?? 0)
  target.loopDelayMs = Math.max(target.loopDelayMs, metric('nodejs_eventloop_lag_max_seconds') * 1000)
  return metric
}
