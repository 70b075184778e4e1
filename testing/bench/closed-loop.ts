// Keeps a fixed number of recordings in flight and measures in the middle of the run, so that neither the start nor the end counts.
import { setTimeout as pause } from 'node:timers/promises'
import { cpuMsOf } from './process-usage.ts'
import { percentile, rounded, type Result } from './numbers.ts'

/** What is measured: the product or a baseline, with the processes that do its work. */
export interface System {
  /**
   * Ends a call with one recording.
   * @returns when the link to the recording was sent, by `performance.now()`
   */
  submit(callSid: string): Promise<number>
  /** @returns those of the calls whose recording is stored */
  stored(callSids: string[]): Promise<string[]>
  /** Process ids by name. */
  processes: Record<string, number>
  stop(): Promise<void>
}

export interface LoopOptions {
  inFlight: number
  /** Recordings before the measurement. */
  warmUp: number
  /** Recordings that are measured. */
  recordings: number
  newCallSid: () => string
}

const POLL_MS = 20
const TIMEOUT_MS = 10 * 60_000

interface Snapshot {
  atMs: number
  stored: number
  cpuMs: Record<string, number>
}

/**
 * @returns recordings per second, CPU time per recording by process, and the time from the webhook with the link until the recording was
 *   seen to be stored
 */
export async function runClosedLoop(system: System, { inFlight, warmUp, recordings, newCallSid }: LoopOptions): Promise<Result> {
  const waiting = new Map<string, Promise<number>>()
  const latenciesMs: number[] = []
  let stored = 0
  let first: Snapshot | undefined
  const snapshot = (): Snapshot => ({ atMs: performance.now(), stored, cpuMs: cpuOf(system) })
  for (const deadline = performance.now() + TIMEOUT_MS; ; await pause(POLL_MS)) {
    while (waiting.size < inFlight) {
      const callSid = newCallSid()
      waiting.set(callSid, system.submit(callSid))
    }
    for (const callSid of await system.stored([...waiting.keys()])) {
      const sentAtMs = await waiting.get(callSid)!
      waiting.delete(callSid)
      stored += 1
      if (first) latenciesMs.push(performance.now() - sentAtMs)
    }
    if (!first && stored >= warmUp) first = snapshot()
    if (first && stored >= first.stored + recordings) {
      const result = figures(first, snapshot(), latenciesMs)
      await drain(system, waiting)
      return result
    }
    if (performance.now() > deadline) throw new Error(`Only ${stored} recordings are stored after ${TIMEOUT_MS / 60_000} min`)
  }
}

/** Waits for the recordings that are still in flight: a system must finish what it has accepted. */
async function drain(system: System, waiting: Map<string, Promise<number>>): Promise<void> {
  await Promise.all(waiting.values())
  for (const deadline = performance.now() + TIMEOUT_MS; ; await pause(POLL_MS)) {
    const stored = await system.stored([...waiting.keys()])
    if (stored.length === waiting.size) return
    if (performance.now() > deadline) throw new Error(`${waiting.size - stored.length} recordings were never stored`)
  }
}

function figures(from: Snapshot, to: Snapshot, latenciesMs: number[]): Result {
  const count = to.stored - from.stored
  const cpuMs = Object.entries(to.cpuMs).map(([name, ms]) => [name, rounded((ms - from.cpuMs[name]!) / count)] as const)
  return {
    perSecond: rounded((count * 1000) / (to.atMs - from.atMs)),
    cpuMs: { ...Object.fromEntries(cpuMs), sum: rounded(cpuMs.reduce((sum, [, ms]) => sum + ms, 0)) },
    latencyMs: { p50: rounded(percentile(latenciesMs, 0.5)), p99: rounded(percentile(latenciesMs, 0.99)) },
  }
}

function cpuOf({ processes }: System): Record<string, number> {
  return Object.fromEntries(Object.entries(processes).map(([name, pid]) => [name, cpuMsOf(pid)]))
}
