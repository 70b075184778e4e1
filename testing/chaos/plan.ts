// Plans the injected faults and their times from a seed, so that a run can be repeated.

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

type Fault =
  | { what: 'kill' | 'restart' | 'pause'; target: ProcessName }
  | { what: 'cut' | 'stall' | 'slow' | 'break'; target: LineName }
  | { what: 'refuse'; target: 'exotel'; status: 401 | 429 | 503 }

export type InjectedFault = Fault & { atMs: number; forMs: number }

/** Starts of one workflow fail, from the first one on. `hang`: no response before the client's deadline. */
export interface WorkflowFault {
  what: 'unavailable' | 'hang'
  forMs: number
}

export type Random = () => number

/** mulberry32: a small seeded generator with a sufficiently even distribution. */
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
/** No fault is active during this time at the end of a run. */
const QUIET_END_MS = 10_000
const LONGEST_MS = 12_000

/** Plans faults in the order of their start times. Several may be active at the same time. */
export function makePlan(random: Random, minutes: number): InjectedFault[] {
  const plan: InjectedFault[] = []
  for (let atMs = 5000; atMs < minutes * 60_000 - QUIET_END_MS - LONGEST_MS; atMs += MEAN_GAP_MS * (0.3 + random() * 1.4)) {
    plan.push({ atMs: Math.round(atMs), forMs: Math.round(1000 + random() * (LONGEST_MS - 1000)), ...drawFault(random) })
  }
  return plan
}

/** Share of the workflows that cannot be started at first. */
const FAULTY_SHARE = 0.15
const [SHORTEST_WORKFLOW_FAULT_MS, LONGEST_WORKFLOW_FAULT_MS] = [5000, 30_000]

/** @param callSids calls whose workflows may get a fault */
export function planWorkflowFaults(random: Random, callSids: string[]): Map<string, WorkflowFault> {
  const faults = new Map<string, WorkflowFault>()
  for (const callSid of callSids) {
    if (random() >= FAULTY_SHARE) continue
    const forMs = Math.round(SHORTEST_WORKFLOW_FAULT_MS + random() * (LONGEST_WORKFLOW_FAULT_MS - SHORTEST_WORKFLOW_FAULT_MS))
    faults.set(callSid, { what: pick(random, ['unavailable', 'hang'] as const), forMs })
  }
  return faults
}

/** Conditions of the whole run. */
export interface RunConditions {
  /** Time between the start of the first processes and the newest migration. */
  behindForMs: number
  /** Number of objects per page of S3's list. */
  keysInPage: number
}

export function planConditions(random: Random): RunConditions {
  return { behindForMs: Math.round(6000 + random() * 4000), keysInPage: 2 + Math.floor(random() * 6) }
}

function drawFault(random: Random): Fault {
  const kind = random()
  if (kind < 0.4) return { what: pick(random, ['kill', 'kill', 'restart'] as const), target: pick(random, PROCESSES) }
  if (kind < 0.55) return { what: 'pause', target: pick(random, PROCESSES) }
  if (kind < 0.93) return { what: pick(random, ['cut', 'stall', 'slow', 'break'] as const), target: pick(random, LINES) }
  return { what: 'refuse', target: 'exotel', status: pick(random, [401, 429, 503] as const) }
}
