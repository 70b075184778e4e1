// `npm run bench -- [--quick] [--runs N] [--only NAMES] [--profiles FOLDER]`: measures the product beside baselines on the same servers. The last line is JSON.
import { mkdirSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildInto } from '../../dev/build.ts'
import { CannotStart, runMain } from '../../platform/process.ts'
import { prepareBaselines } from './baselines/baseline.ts'
import { startBenchStack, type BenchStack } from './bench-stack.ts'
import type { Result } from './numbers.ts'
import { countActions } from './suites/billable-actions.ts'
import { measureBurst } from './suites/burst.ts'
import { grow } from './suites/growth.ts'
import { measureIdleLatency } from './suites/idle-latency.ts'
import { measureLargeFiles } from './suites/large-files.ts'
import { measureThroughput } from './suites/throughput.ts'
import { measureWebhooks } from './suites/webhooks.ts'

const home = fileURLToPath(new URL('../../.data/bench', import.meta.url))
const GIVEN = ['DATABASE_URL', 'TEMPORAL_ADDRESS', 'WASABI_ENDPOINT', 'EXOTEL_API_BASE_URL']
const SUITES = ['throughput', 'webhooks', 'latency', 'actions', 'burst', 'large', 'growth'] as const
type Suite = (typeof SUITES)[number]
const QUICK: Suite[] = ['throughput', 'webhooks', 'latency']
const say = (text: string): void => console.log(text)

interface Sizes {
  only: Suite[]
  runs: number
  warmUp: number
  recordings: number
  requests: number
  calls: number
}

interface Options extends Sizes {
  /** Where CPU profiles of API and worker are written. */
  profiles?: string
}

runMain(async () => {
  const options = readOptions()
  if (process.platform !== 'linux') throw new CannotStart('The benchmark reads CPU time and memory from /proc: it needs Linux.')
  const given = GIVEN.filter((name) => process.env[name])
  if (given.length > 0) throw new CannotStart(`The benchmark measures servers of its own: unset ${given.join(', ')}.`)
  const startedAt = performance.now()
  const { profiles, ...sizes } = options
  const stack = await startBenchStack(home, profiles)
  process.once('SIGINT', () => void stack.supervisor.stop().then(() => process.exit(130)))
  try {
    const dist = join(home, 'dist')
    mkdirSync(dist, { recursive: true })
    await buildInto(dist)
    await prepareBaselines(stack)
    const results = await measure(stack, dist, sizes)
    const seconds = Math.round((performance.now() - startedAt) / 1000)
    say(JSON.stringify({ date: new Date().toISOString(), machine: machine(), ...sizes, ...results, seconds }))
  } finally {
    await stack.stop()
  }
})

async function measure(stack: BenchStack, dist: string, options: Sizes): Promise<Record<string, Result>> {
  const { only, runs, warmUp, recordings, requests, calls } = options
  const suites: Record<Suite, () => Promise<Result>> = {
    throughput: () => measureThroughput(stack, { dist, runs, warmUp, recordings, report: say }),
    webhooks: () => measureWebhooks(stack, { dist, runs, requests, report: say }),
    latency: () => measureIdleLatency(stack, { dist, calls }),
    actions: () => countActions(stack, { dist }),
    burst: () => measureBurst(stack, { dist }),
    large: () => measureLargeFiles(stack, { dist, report: say }),
    growth: async () => {
      await grow(stack, { dist, report: say })
      return { throughput: await suites.throughput(), webhooks: await suites.webhooks(), latency: await suites.latency() }
    },
  }
  const results: Record<string, Result> = {}
  for (const suite of only) {
    results[suite] = await suites[suite]()
    say(`${suite}: ${JSON.stringify(results[suite])}`)
  }
  return results
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      runs: { type: 'string' },
      only: { type: 'string' },
      profiles: { type: 'string' },
    },
  })
  const { quick } = values
  const runs = Number(values.runs ?? (quick ? 1 : 3))
  if (!Number.isInteger(runs) || runs < 1) throw new CannotStart(`--runs is a whole number from 1, not ${values.runs}`)
  const only = values.only?.split(',') ?? (quick ? QUICK : SUITES)
  const unknown = only.filter((name) => !SUITES.includes(name as Suite))
  if (unknown.length > 0) throw new CannotStart(`Unknown: ${unknown.join(', ')}. --only takes some of ${SUITES.join(',')}`)
  const size = quick
    ? { warmUp: 60, recordings: 200, requests: 2000, calls: 30 }
    : { warmUp: 100, recordings: 500, requests: 5000, calls: 100 }
  return { only: only as Suite[], runs, ...size, ...(values.profiles !== undefined && { profiles: values.profiles }) }
}

function machine(): string {
  return `${cpus().length} CPUs (${cpus()[0]?.model ?? 'unknown'}), ${Math.round(totalmem() / 1024 ** 3)} GiB, Node ${process.versions.node}`
}
