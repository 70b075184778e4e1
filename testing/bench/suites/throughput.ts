// Recordings per second, CPU time per recording, and the time from webhook to stored, with 32 recordings in flight.
import { startBaseline } from '../baselines/baseline.ts'
import type { BenchStack } from '../bench-stack.ts'
import { runClosedLoop, type System } from '../closed-loop.ts'
import { medianOf, rounded, type Result } from '../numbers.ts'
import { startProduct } from '../product.ts'

const IN_FLIGHT = 32
/** A link that comes later: as long as a recording waits for it, it is in flight but does no work. */
const LINK_AFTER_MS = 1000
const IN_FLIGHT_LATE = 96

type Variant = 'product' | 'product-late' | 'loop' | 'temporal-host3' | 'temporal-host3-late' | 'temporal-local' | 'temporal-local-late'

const VARIANTS: Variant[] = [
  'product',
  'temporal-local',
  'temporal-host3',
  'loop',
  'product-late',
  'temporal-local-late',
  'temporal-host3-late',
]

export interface ThroughputOptions {
  dist: string
  /** Interleaved: each variant once, then each again. */
  runs: number
  warmUp: number
  recordings: number
  report: (text: string) => void
}

/** @returns the medians of each variant, and the ratios of the product to the baselines with the same order of events */
export async function measureThroughput(stack: BenchStack, options: ThroughputOptions): Promise<Result> {
  const results = new Map<Variant, Result[]>(VARIANTS.map((variant) => [variant, []]))
  for (let run = 1; run <= options.runs; run += 1)
    for (const variant of VARIANTS) {
      const result = await measure(stack, variant, options)
      results.get(variant)!.push(result)
      options.report(`throughput, run ${run}, ${variant}: ${JSON.stringify(result)}`)
    }
  const medians = Object.fromEntries([...results].map(([variant, each]) => [variant, medianOf(each)])) as Record<Variant, Result>
  return { ...medians, ratios: { ...ratios(medians, ''), late: ratios(medians, '-late') } }
}

async function measure(stack: BenchStack, variant: Variant, { dist, warmUp, recordings }: ThroughputOptions): Promise<Result> {
  const isLate = variant.endsWith('-late')
  const system = await start(stack, variant.replace('-late', ''), { dist, ...(isLate && { linkAfterMs: LINK_AFTER_MS }) })
  try {
    return await runClosedLoop(system, {
      inFlight: isLate ? IN_FLIGHT_LATE : IN_FLIGHT,
      warmUp: isLate ? Math.max(warmUp, IN_FLIGHT_LATE) : warmUp,
      recordings,
      newCallSid: stack.newCallSid,
    })
  } finally {
    await system.stop()
  }
}

function start(stack: BenchStack, name: string, options: { dist: string; linkAfterMs?: number }): Promise<System> {
  if (name === 'product') return startProduct(stack, options)
  const { linkAfterMs } = options
  return startBaseline(stack, { engine: name as 'loop', ...(linkAfterMs !== undefined && { linkAfterMs }) })
}

function ratios(medians: Record<Variant, Result>, suffix: '' | '-late'): Result {
  const perSecond = (variant: string): number => medians[`${variant}${suffix}` as Variant].perSecond as number
  const workerCpu = (variant: string): number => (medians[`${variant}${suffix}` as Variant].cpuMs as Result).worker as number
  return {
    toAllLocal: rounded(perSecond('product') / perSecond('temporal-local')),
    toSameShape: rounded(perSecond('product') / perSecond('temporal-host3')),
    ...(suffix === '' && { toNoEngine: rounded(perSecond('product') / perSecond('loop')) }),
    workerCpuToAllLocal: rounded(workerCpu('product') / workerCpu('temporal-local')),
  }
}
