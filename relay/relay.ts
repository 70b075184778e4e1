// The one way from committed events to Temporal. Runs in every API process; claims keep the processes out of each other's way.
import type { Client } from '@temporalio/client'
import { setTimeout as pause } from 'node:timers/promises'
import { claimEvents, clearRelayWaits, releaseEvents, type ClaimedEvent } from '../calls/claim-events.ts'
import { backoffMs } from '../platform/backoff.ts'
import type { Database } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'
import { gauge } from '../platform/metrics.ts'
import { redact } from '../platform/redact.ts'
import type { Pauses } from '../platform/retry.ts'
import type { RecordingPolicy } from '../contracts/recording.ts'
import { createSystemCheck, deliverEvent, type DeliveryOutcome } from './deliver-event.ts'
import { openLane, type LaneLimits } from './relay-lane.ts'
import { createOutcomeRecorder } from './relay-outcomes.ts'

export interface Relay {
  /** Something was committed: look now. */
  kick(): void
  state(): RelayState
  /** Does not wait for requests that get no response: their events are released. */
  stop(): Promise<void>
}

/** The first two stop the relay; the others are about one event. */
export const RELAY_PROBLEMS = ['DatabaseUnavailable', 'TemporalUnavailable', 'EventRefused', 'NoResponse'] as const
type RelayProblem = (typeof RELAY_PROBLEMS)[number]

interface RelayState {
  /** `waiting`: PostgreSQL or Temporal as a whole is not available, or the database is not migrated. */
  state: 'relaying' | 'waiting'
  since: string
  /** The newest problem, of one event or of all, also after it is over. Its text is in the log. */
  problem?: RelayProblem
  problemAt?: string
}

export interface RelayDependencies {
  database: Database
  /** Resolved anew by each event until it is there. */
  temporal: () => Promise<Client>
  policy: RecordingPolicy
  /** While PostgreSQL or Temporal as a whole is away. */
  pauses: Pauses
  limits: RelayLimits
  /** Nothing is claimed before this resolves. */
  ready: Promise<unknown>
  logger: Logger
}

export interface RelayLimits extends LaneLimits {
  /** The relay looks for due events at least this often. */
  pollMs: number
}

/** A claim's lease (30 s) outlasts a connection attempt, the request's deadline, a look at the system, and the statement that follows. */
export const RELAY_LIMITS: RelayLimits = { sideBySide: 20, slowAfterMs: 1000, inFlight: 200, pollMs: 1000 }

const standing = gauge('relay_standing', '1 while the relay as a whole waits for PostgreSQL or Temporal')

export function startRelay(deps: RelayDependencies): Relay {
  const { database, limits, logger } = deps
  const stopping = new AbortController()
  const stopped = new Promise<void>((resolve) => stopping.signal.addEventListener('abort', () => resolve()))
  const systemFault = createSystemCheck(deps.temporal)
  const record = createOutcomeRecorder(database, logger)
  const underWay = new Map<ClaimedEvent, Promise<DeliveryOutcome>>()
  const lanes = { fresh: openLane(limits, onRoom), waiting: openLane(limits, onRoom) }
  let status: RelayState = { state: 'waiting', since: now() }
  let failedAttempts = 0
  let lastReason: string | undefined
  let moreIsDue = false
  let wake = openGate()

  const done = run()
  return {
    kick: () => wake.open(),
    state: () => status,
    stop,
  }

  async function run(): Promise<void> {
    await Promise.race([deps.ready, stopped])
    status = { ...status, state: 'relaying', since: now() }
    while (!stopping.signal.aborted) {
      if (status.state === 'relaying') await relayDue().catch(pauseRelay)
      else await retryAfterFault().catch(pauseRelay)
    }
  }

  /** Begins what is due, and returns when it is time to look again; does not wait for the responses. */
  async function relayDue(): Promise<void> {
    wake = openGate()
    ;({ moreIsDue } = await deliverDue())
    if (moreIsDue && hasRoom()) return
    const poll = new AbortController()
    const pollMs = limits.pollMs * (0.75 + Math.random() / 2)
    await Promise.race([wake.opened, pause(pollMs, undefined, { signal: poll.signal }).catch(() => {})])
    poll.abort()
  }

  /** While the relay waits: one look at Temporal, then one batch. Goes on if no event of it meets a fault of Temporal as a whole. */
  async function retryAfterFault(): Promise<void> {
    await pause(backoffMs(failedAttempts, deps.pauses), undefined, { signal: stopping.signal }).catch(() => {})
    if (stopping.signal.aborted) return
    const fault = await systemFault()
    if (fault !== undefined) {
      failedAttempts += 1
      return reportFault('TemporalUnavailable', fault)
    }
    const { deliveries } = await deliverDue()
    const outcomes = await firstOutcomes(deliveries)
    if (stopping.signal.aborted) return
    const faults = outcomes.filter(({ kind }) => kind === 'temporal_fault').length
    if (faults > 0) {
      failedAttempts = faults < outcomes.length ? 1 : failedAttempts + 1
      return
    }
    await clearRelayWaits(database)
    resumeRelay()
  }

  /** Does not wait for slow ones where others have an outcome already. */
  async function firstOutcomes(deliveries: Promise<DeliveryOutcome>[]): Promise<DeliveryOutcome[]> {
    const slow = pause(limits.slowAfterMs, undefined)
    const outcomes = await Promise.all(deliveries.map((delivery) => Promise.race([delivery, slow])))
    const known = outcomes.filter((outcome) => outcome !== undefined)
    return known.length > 0 ? known : Promise.all(deliveries)
  }

  /** Claims as many events as there is room for, and begins to deliver them. */
  async function deliverDue(): Promise<{ deliveries: Promise<DeliveryOutcome>[]; moreIsDue: boolean }> {
    const room = { fresh: lanes.fresh.room(), waiting: lanes.waiting.room() }
    if (room.fresh + room.waiting === 0) return { deliveries: [], moreIsDue: true }
    const events = await claimEvents(database, room)
    if (stopping.signal.aborted) {
      await releaseEvents(database, events)
      return { deliveries: [], moreIsDue: false }
    }
    const waiting = events.filter(({ relayWaits }) => relayWaits > 0).length
    const deliveries = events.map((event) => {
      const lane = event.relayWaits > 0 ? lanes.waiting : lanes.fresh
      const delivery = lane.occupy(() => deliver(event)).finally(() => underWay.delete(event))
      underWay.set(event, delivery)
      return delivery
    })
    return { deliveries, moreIsDue: isFilled(room.waiting, waiting) || isFilled(room.fresh, events.length - waiting) }
  }

  /** Never throws. A claim whose outcome cannot be recorded expires, and the event is delivered again, which changes nothing. */
  async function deliver(event: ClaimedEvent): Promise<DeliveryOutcome> {
    const outcome = await deliverEvent({ ...deps, systemFault }, event)
    if (!underWay.has(event)) return outcome // released by stop()
    if (outcome.kind === 'temporal_fault') reportFault('TemporalUnavailable', outcome.reason)
    else if (outcome.kind === 'refused') notice('EventRefused')
    else if (outcome.kind === 'no_response') notice('NoResponse')
    try {
      await record({ event, outcome })
      return outcome
    } catch (error) {
      reportFault('DatabaseUnavailable', describe(error))
      return { kind: 'temporal_fault', reason: describe(error) }
    }
  }

  function pauseRelay(error: unknown): void {
    failedAttempts += 1
    reportFault('DatabaseUnavailable', describe(error))
  }

  /** One alarm for each outage, and a line for each new reason; not one for each event. */
  function reportFault(problem: RelayProblem, reason: string): void {
    notice(problem)
    if (status.state === 'waiting' && reason === lastReason) return
    lastReason = reason
    if (status.state === 'waiting') return logger.warn({ problem, reason: redact(reason) }, 'Recording relay still waits')
    logger.error({ problem, reason: redact(reason) }, 'Recording relay stands still: committed events wait')
    status = { ...status, state: 'waiting', since: now() }
    failedAttempts = Math.max(failedAttempts, 1)
    standing.set(1)
    wake.open()
  }

  function resumeRelay(): void {
    failedAttempts = 0
    logger.info('Recording relay goes on')
    status = { ...status, state: 'relaying', since: now() }
    standing.set(0)
  }

  function notice(problem: RelayProblem): void {
    status = { ...status, problem, problemAt: now() }
  }

  function hasRoom(): boolean {
    return lanes.fresh.room() + lanes.waiting.room() > 0
  }

  function onRoom(): void {
    if (moreIsDue && hasRoom()) wake.open()
  }

  async function stop(): Promise<void> {
    stopping.abort()
    wake.open()
    await Promise.race([Promise.all([done, ...underWay.values()]), pause(limits.slowAfterMs)])
    const abandoned = [...underWay.keys()]
    underWay.clear()
    await releaseEvents(database, abandoned).catch(() => {}) // else their leases expire
  }
}

/** More may be due where all the room that there was is taken. A lane without room says when it has some again. */
function isFilled(room: number, claimed: number): boolean {
  return room > 0 && claimed === room
}

function now(): string {
  return new Date().toISOString()
}

function describe(error: unknown): string {
  return (error instanceof Error ? error.message.split('\n').at(-1) : undefined) ?? String(error)
}

function openGate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}
