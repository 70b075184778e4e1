// The one way from committed events to Temporal. Runs in every API process; claims keep them out of each other's way.
import type { Client } from '@temporalio/client'
import { setTimeout as pause } from 'node:timers/promises'
import { claimEvents, markRelayed, releaseEvents, setAside, type ClaimedEvent } from '../calls/claim-events.ts'
import { backoffMs } from '../platform/backoff.ts'
import type { Database } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'
import { counter, gauge } from '../platform/metrics.ts'
import type { Pauses } from '../platform/retry.ts'
import type { RecordingPolicy } from '../workflows/contracts/recording.ts'
import { classifyTemporalError } from './temporal-errors.ts'
import { tellWorkflow } from './tell-workflow.ts'

export interface Relay {
  /** Something was committed: look now. */
  kick(): void
  state(): { state: 'relaying' | 'waiting'; since: string; problem?: string }
  /** Ends after the batch in hand. */
  stop(): Promise<void>
}

export interface RelayDependencies {
  database: Database
  /** Resolved anew by each batch until it is there. */
  temporal: () => Promise<Client>
  policy: RecordingPolicy
  /** While PostgreSQL or Temporal is away. */
  pauses: Pauses
  logger: Logger
}

/** As many as can be told side by side within one lease. */
const BATCH = 20
const POLL_MS = 1000

const relayed = counter('relay_events_total', 'Events by what became of them', ['result'])
const standing = gauge('relay_standing', '1 while the relay as a whole waits for PostgreSQL or Temporal')

export function startRelay(deps: RelayDependencies): Relay {
  const stopping = new AbortController()
  let status: ReturnType<Relay['state']> = { state: 'relaying', since: new Date().toISOString() }
  let kick = openGate()
  let outages = 0

  const done = run()
  return {
    kick: () => kick.open(),
    state: () => status,
    stop: async () => {
      stopping.abort()
      kick.open()
      await done
    },
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const outcome = await relayBatch(deps).catch((error: unknown) => ({ problem: describe(error) }))
      if ('problem' in outcome) await standStill(outcome.problem)
      else {
        goOn()
        if (outcome.events < BATCH) await nextLook()
      }
    }
  }

  /** One alarm an outage, not one an event. */
  async function standStill(problem: string): Promise<void> {
    outages += 1
    if (status.state === 'relaying') {
      deps.logger.error({ problem }, 'Recording relay stands still: committed events wait')
      status = { state: 'waiting', since: new Date().toISOString(), problem }
      standing.set(1)
    }
    await pause(backoffMs(outages, deps.pauses), undefined, { signal: stopping.signal }).catch(() => {})
  }

  function goOn(): void {
    outages = 0
    if (status.state === 'relaying') return
    deps.logger.info('Recording relay goes on')
    status = { state: 'relaying', since: new Date().toISOString() }
    standing.set(0)
  }

  async function nextLook(): Promise<void> {
    const timer = new AbortController()
    await Promise.race([kick.opened, pause(POLL_MS * (0.75 + Math.random() / 2), undefined, { signal: timer.signal }).catch(() => {})])
    timer.abort()
    kick = openGate()
  }
}

type BatchOutcome = { events: number } | { problem: string }

async function relayBatch({ database, temporal, policy, logger }: RelayDependencies): Promise<BatchOutcome> {
  const events = await claimEvents(database, BATCH)
  if (events.length === 0) return { events: 0 }
  const work = events.filter((event) => !event.bringsNothingNew)
  const told = await tellAll(work, temporal, policy)
  await markRelayed(database, { started: told.started, nothingNew: events.filter((event) => event.bringsNothingNew).map(({ id }) => id) })
  for (const { event, reason } of told.setAside) {
    logger.error(
      { callSid: event.callSid, event: String(event.id), tries: event.relayTries + 1, reason },
      'Recording event set aside: Temporal refuses it',
    )
    await setAside(database, event.id, reason)
  }
  relayed.inc({ result: 'started' }, told.started.length)
  relayed.inc({ result: 'nothing_new' }, events.length - work.length)
  relayed.inc({ result: 'set_aside' }, told.setAside.length)
  if (told.problem === undefined) return { events: events.length }
  await releaseEvents(database, told.untold)
  return { problem: told.problem }
}

interface Told {
  started: bigint[]
  setAside: { event: ClaimedEvent; reason: string }[]
  untold: bigint[]
  problem?: string
}

/** Outside any transaction; each event's trouble apart from Temporal's as a whole. */
async function tellAll(events: ClaimedEvent[], temporal: () => Promise<Client>, policy: RecordingPolicy): Promise<Told> {
  const told: Told = { started: [], setAside: [], untold: [] }
  if (events.length === 0) return told
  let client: Client
  try {
    client = await temporal()
  } catch (error) {
    return { ...told, untold: events.map(({ id }) => id), problem: `Temporal: ${error instanceof Error ? error.message : String(error)}` }
  }
  const results = await Promise.all(
    events.map(async (event) => ({
      event,
      trouble: await tellWorkflow(client, event, policy).then(() => undefined, classifyTemporalError),
    })),
  )
  const answers = results.some(({ trouble }) => trouble === undefined)
  for (const { event, trouble } of results) {
    if (trouble === undefined) told.started.push(event.id)
    else if (trouble.of === 'event' || (trouble.of === 'either' && answers)) told.setAside.push({ event, reason: trouble.reason })
    else {
      told.untold.push(event.id)
      told.problem = trouble.reason
    }
  }
  return told
}

function describe(error: unknown): string {
  return `PostgreSQL: ${error instanceof Error ? error.message.split('\n').at(-1) : String(error)}`
}

function openGate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}
