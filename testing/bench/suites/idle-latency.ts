// The time from webhook to stored of one call on an idle system.
import { setTimeout as pause } from 'node:timers/promises'
import { startBaseline } from '../baselines/baseline.ts'
import type { BenchStack } from '../bench-stack.ts'
import type { System } from '../closed-loop.ts'
import { percentile, rounded, type Result } from '../numbers.ts'
import { startProduct } from '../product.ts'

const POLL_MS = 2
const BETWEEN_MS = 50
/** The first calls run code that is not compiled yet. */
const WARM_UP = 10

export async function measureIdleLatency(stack: BenchStack, { dist, calls }: { dist: string; calls: number }): Promise<Result> {
  const product = await onIdle(stack, await startProduct(stack, { dist }), calls)
  const allLocal = await onIdle(stack, await startBaseline(stack, { engine: 'temporal-local' }), calls)
  return { product, allLocal }
}

async function onIdle(stack: BenchStack, system: System, calls: number): Promise<Result> {
  const latenciesMs: number[] = []
  try {
    for (let call = 0; call < WARM_UP + calls; call += 1) {
      const callSid = stack.newCallSid()
      const sentAtMs = await system.submit(callSid)
      while ((await system.stored([callSid])).length === 0) await pause(POLL_MS)
      if (call >= WARM_UP) latenciesMs.push(performance.now() - sentAtMs)
      await pause(BETWEEN_MS)
    }
  } finally {
    await system.stop()
  }
  return { p50Ms: rounded(percentile(latenciesMs, 0.5)), p90Ms: rounded(percentile(latenciesMs, 0.9)) }
}
