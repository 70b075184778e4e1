// Runs attacks one after the other and compares the measurements with their bounds.
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from '../../dev/ports.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { ATTACKS, type Attack } from './attacks.ts'
import { measure, type Measured, type Target } from './measure.ts'

const IDLE_MS = 3000
/** A busy machine is slow without any attack, so a multiple of the idle measurement is allowed. */
const IDLE_FACTOR = 4

export interface Result {
  name: string
  idle: Measured
  attacked: Measured
  /** Seconds until the server had closed all connections of the attack, if it has to. */
  closedAfterSeconds?: number
  broken: string[]
}

/** @param names texts that the names of the attacks contain; all attacks if empty */
export async function runAttacks(names: string[]): Promise<Result[]> {
  const backend = await startBackend({ start: [], env: { LOG_LEVEL: 'warn' } })
  const results: Result[] = []
  for (const attack of ATTACKS.filter(({ name }) => names.length === 0 || names.some((each) => name.includes(each)))) {
    const result = await runOne(backend, attack)
    console.log(`${result.broken.length === 0 ? 'held  ' : 'BROKEN'} ${JSON.stringify(result)}`)
    results.push(result)
  }
  await backend.stop()
  return results
}

/** Runs each attack against a new process, so that earlier attacks do not affect its memory. */
async function runOne(backend: Backend, attack: Attack): Promise<Result> {
  const operationsPort = await freePort(0)
  await backend.start('api', { OPERATIONS_PORT: String(operationsPort), ...attack.env })
  const target: Target = {
    apiUrl: backend.apiUrl,
    metricsUrl: `http://127.0.0.1:${operationsPort}/metrics`,
    pid: backend.pid('api'),
    loopDelayMs: 0,
  }
  await attack.warmUp?.(target)
  const idle = await measure(target, () => pause(IDLE_MS))
  let closedAfterSeconds: number | undefined
  const attacked = await measure(target, async () => {
    closedAfterSeconds = (await attack.run(target)) ?? undefined
  })
  await backend.end('api', 'SIGKILL')
  const broken = brokenBounds(attack, { idle, attacked, closedAfterSeconds })
  return { name: attack.name, idle, attacked, ...(closedAfterSeconds !== undefined && { closedAfterSeconds }), broken }
}

function brokenBounds(
  { bounds }: Attack,
  { idle, attacked, closedAfterSeconds = 0 }: { idle: Measured; attacked: Measured; closedAfterSeconds: number | undefined },
): string[] {
  const broken: string[] = []
  const check = (what: string, value: number, bound: number): void => {
    if (!(value <= bound)) broken.push(`${what}: ${Math.round(value)} is more than ${Math.round(bound)}`)
  }
  check('memory in MB', attacked.memoryMB - idle.memoryMB, bounds.memoryMB)
  check('event loop delay in ms', attacked.loopDelayMs, Math.max(bounds.loopDelayMs, IDLE_FACTOR * idle.loopDelayMs))
  check('response time in ms', attacked.answerMs, Math.max(bounds.answerMs, IDLE_FACTOR * idle.answerMs))
  check('failed requests of another client', attacked.failures, 0)
  check('seconds until all connections were closed', closedAfterSeconds, bounds.closedWithinSeconds)
  return broken
}
