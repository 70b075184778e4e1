// 5,000 calls end within 10 s: all webhooks must be acknowledged, and all recordings stored.
import { setTimeout as pause } from 'node:timers/promises'
import type { BenchStack } from '../bench-stack.ts'
import { percentile, rounded, type Result } from '../numbers.ts'
import { endOf, startProduct } from '../product.ts'
import { peakMb } from '../process-usage.ts'

const CALLS = 5000
const SECONDS = 10
const STEP_MS = 20
const TIMEOUT_MS = 30 * 60_000

export async function measureBurst(stack: BenchStack, { dist }: { dist: string }): Promise<Result> {
  const product = await startProduct(stack, { dist })
  try {
    const latenciesMs: number[] = []
    const callSids = Array.from({ length: CALLS }, stack.newCallSid)
    const startedAtMs = performance.now()
    const sending: Promise<void>[] = []
    while (sending.length < CALLS) {
      const due = Math.min(CALLS, Math.ceil(((performance.now() - startedAtMs) / 1000 / SECONDS) * CALLS))
      while (sending.length < due) sending.push(sendEnd(callSids[sending.length]!))
      await pause(STEP_MS)
    }
    await Promise.all(sending)
    const acknowledgedSeconds = (performance.now() - startedAtMs) / 1000
    await untilStored(stack, callSids, startedAtMs)
    return {
      acknowledged: latenciesMs.length,
      acknowledgedSeconds: rounded(acknowledgedSeconds),
      p99Ms: rounded(percentile(latenciesMs, 0.99)),
      storedSeconds: rounded((performance.now() - startedAtMs) / 1000),
      apiPeakMb: peakMb(product.processes.api!),
      workerPeakMb: peakMb(product.processes.worker!),
    }

    async function sendEnd(callSid: string): Promise<void> {
      const sentAtMs = performance.now()
      const status = await product.send('call-end', endOf(callSid, `${stack.sourceUrl}/recordings/${callSid}`))
      if (status !== 200) throw new Error(`A webhook of the burst got the status ${status}`)
      latenciesMs.push(performance.now() - sentAtMs)
    }
  } finally {
    await product.stop()
  }
}

async function untilStored({ database }: BenchStack, callSids: string[], startedAtMs: number): Promise<void> {
  const text = `SELECT count(*)::int AS stored FROM calls WHERE call_sid = ANY($1) AND recording_state = 'stored'`
  for (;;) {
    const { rows } = await database.query<{ stored: number }>({ text, values: [callSids] })
    if (rows[0]!.stored === callSids.length) return
    if (performance.now() - startedAtMs > TIMEOUT_MS) throw new Error(`Only ${rows[0]!.stored} of ${callSids.length} are stored`)
    await pause(1000) // the query reads 5,000 rows: more often, it would take time from the product
  }
}
