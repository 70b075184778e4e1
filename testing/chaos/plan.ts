// What goes wrong, and when: drawn from a seed, so that a run can be had again.

const PROCESSES = ['api-1', 'api-2', 'worker-1', 'worker-2', 'temporal', 'postgres', 's3'] as const
const LINES = [
  'api-postgres',
  'api-temporal',
  'worker-postgres',
  'worker-temporal',
  'worker-s3',
  'worker-exotel',
  'exotel-api-1',
  'exotel-api-2',
] as const

type ProcessName = (typeof PROCESSES)[number]
export type LineName = (typeof LINES)[number]

type Trouble =
  | { what: 'kill' | 'restart' | 'pause'; target: ProcessName }
  | { what: 'cut' | 'stall' | 'slow' | 'break'; target: LineName }
  | { what: 'refuse'; target: 'exotel'; status: 401 | 429 | 503 }

export type InjectedFault = Trouble & { atMs: number; forMs: number }

/** What happens to the starts of one workflow, from the first on. `hang`: no answer before the client's deadline. */
export interface WorkflowFault {
  what: 'unavailable' | 'hang'
  forMs: number
}

export type Random = () => number

/** mulberry32: small, seeded, even enough. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)]!
}

const MEAN_GAP_MS = 9000
/** Nothing new goes wrong at the very end, and what does is over by then. */
const CALM_MS = 10_000
const LONGEST_MS = 12_000

/** Disturbances in the order of their beginnings; several may stand at once. */
export function makePlan(random: Random, minutes: number): InjectedFault[] {
  const plan: InjectedFault[] = []
  for (let atMs = 5000; atMs < minutes * 60_000 - CALM_MS - LONGEST_MS; atMs += MEAN_GAP_MS * (0.3 + random() * 1.4)) {
    plan.push({ atMs: Math.round(atMs), forMs: Math.round(1000 + random() * (LONGEST_MS - 1000)), ...trouble(random) })
  }
  return plan
}

/** Of the workflows: these cannot be started at first. */
const TROUBLED_SHARE = 0.15
const [SHORTEST_TROUBLE_MS, LONGEST_TROUBLE_MS] = [5000, 30_000]

/** @param callSids of the calls whose workflows may be troubled */
export function planWorkflowFaults(random: Random, callSids: string[]): Map<string, WorkflowFault> {
  const troubles = new Map<string, WorkflowFault>()
  for (const callSid of callSids) {
    if (random() >= TROUBLED_SHARE) continue
    const forMs = Math.round(SHORTEST_TROUBLE_MS + random() * (LONGEST_TROUBLE_MS - SHORTEST_TROUBLE_MS))
    troubles.set(callSid, { what: pick(random, ['unavailable', 'hang'] as const), forMs })
  }
  return troubles
}

/** What the whole run has to live with. */
export interface Setting {
  /** The first processes start so long before the newest migration is applied. */
  behindForMs: number
  /** The store lists so many objects a page. */
  keysInPage: number
}

export function planSetting(random: Random): Setting {
  return { behindForMs: Math.round(6000 + random() * 4000), keysInPage: 2 + Math.floor(random() * 6) }
}

function trouble(random: Random): Trouble {
  const kind = random()
  if (kind < 0.4) return { what: pick(random, ['kill', 'kill', 'restart'] as const), target: pick(random, PROCESSES) }
  if (kind < 0.55) return { what: 'pause', target: pick(random, PROCESSES) }
  if (kind < 0.93) return { what: pick(random, ['cut', 'stall', 'slow', 'break'] as const), target: pick(random, LINES) }
  return { what: 'refuse', target: 'exotel', status: pick(random, [401, 429, 503] as const) }
}
