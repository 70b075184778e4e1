// The relay: the only code that sends committed events to Temporal. It runs in every API process; claims prevent two processes from
// sending the same event at the same time.
import type { Client } from '@temporalio/client'
import { setTimeout as pause } from 'node:timers/promises'
import { claimEvents, clearRelayWaits, releaseEvents, type ClaimedEvent } from '../calls/relay-events.ts'
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
  /** An event was committed: claim due events now, without waiting for the next poll. */
  kick(): void
  state(): RelayState
  /** Stops the relay. Events whose requests get no response within a second are released. */
  stop(): Promise<void>
}

/** The first two pause the relay; the others concern one event. */
export const RELAY_PROBLEMS = ['DatabaseUnavailable', 'TemporalUnavailable', 'EventRefused', 'NoResponse'] as const
type RelayProblem = (typeof RELAY_PROBLEMS)[number]

interface RelayState {
  /** `paused`: PostgreSQL or Temporal as a whole is not available, or the database is not migrated. */
  state: 'relaying' | 'paused'
  since: string
  /** The newest problem, of one event or of all. It stays here after it has ended. Its text is in the log. */
  problem?: RelayProblem
  problemAt?: string
}

export interface RelayDependencies {
  database: Database
  /** Called for each event, because the connection may not be established yet. */
  temporal: () => Promise<Client>
  policy: RecordingPolicy
  /** Pauses between attempts while PostgreSQL or Temporal as a whole is unavailable. */
  pauses: Pauses
  limits: RelayLimits
  /** Nothing is claimed before this resolves. */
  ready: Promise<unknown>
  logger: Logger
}

export interface RelayLimits extends LaneLimits {
  /** The relay queries for due events about this often. */
  pollMs: number
}

/** A claim's lease (30 s) is longer than a connection attempt, the request's deadline, the system check and the SQL statement together. */
export const RELAY_LIMITS: RelayLimits = { concurrency: 20, slowAfterMs: 1000, inFlight: 200, pollMs: 1000 }

const paused = gauge('relay_paused', '1 while the relay is paused because PostgreSQL or Temporal is unavailable')

export function startRelay(deps: RelayDependencies): Relay {
  const { database, limits, logger } = deps
  const stopping = new AbortController()
  const stopped = new Promise<void>((resolve) => stopping.signal.addEventListener('abort', () => resolve()))
  const systemFault = createSystemCheck(deps.temporal)
  const record = createOutcomeRecorder(database, logger)
  const inProgress = new Map<ClaimedEvent, Promise<DeliveryOutcome>>()
  /** Outcomes that are being written. Until then, their events are claimed. */
  const writing = new Set<Promise<void>>()
  const lanes = { fresh: openLane(limits, onFreeSlot), withoutResponse: openLane(limits, onFreeSlot) }
  let status: RelayState = { state: 'paused', since: now() }
  let failedAttempts = 0
  let lastReason: string | undefined
  /** Whether more events of each lane may be due: the last query returned as many as it was allowed to, or the lane had no free slot. */
  let moreIsDue = { fresh: false, withoutResponse: false }
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

  /** Starts the delivery of due events, without waiting for the responses. Returns when due events have to be queried again. */
  async function relayDue(): Promise<void> {
    wake = openGate()
    await deliverDue()
    if (canSendMore()) return
    const poll = new AbortController()
    const pollMs = limits.pollMs * (0.75 + Math.random() / 2)
    await Promise.race([wake.opened, pause(pollMs, undefined, { signal: poll.signal }).catch(() => {})])
    poll.abort()
  }

  /** While the relay is paused: checks Temporal, then sends one batch. Resumes if no event of the batch meets a fault of Temporal as a whole. */
  async function retryAfterFault(): Promise<void> {
    await pause(backoffMs(failedAttempts, deps.pauses), undefined, { signal: stopping.signal }).catch(() => {})
    if (stopping.signal.aborted) return
    const fault = await systemFault()
    if (fault !== undefined) {
      failedAttempts += 1
      return reportFault('TemporalUnavailable', fault)
    }
    // An event whose outcome is still being written cannot be claimed, and without events nothing shows whether the fault has ended.
    await Promise.allSettled(writing)
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

  /** Does not wait for slow deliveries if others already have an outcome. */
  async function firstOutcomes(deliveries: Promise<DeliveryOutcome>[]): Promise<DeliveryOutcome[]> {
    const slow = pause(limits.slowAfterMs, undefined)
    const outcomes = await Promise.all(deliveries.map((delivery) => Promise.race([delivery, slow])))
    const known = outcomes.filter((outcome) => outcome !== undefined)
    return known.length > 0 ? known : Promise.all(deliveries)
  }

  /** Claims as many events as the lanes allow, and starts their delivery. */
  async function deliverDue(): Promise<{ deliveries: Promise<DeliveryOutcome>[] }> {
    const free = { fresh: lanes.fresh.freeSlots(), withoutResponse: lanes.withoutResponse.freeSlots() }
    const events = free.fresh + free.withoutResponse > 0 ? await claimEvents(database, free) : []
    if (stopping.signal.aborted) {
      await releaseEvents(database, events)
      return { deliveries: [] }
    }
    const withoutResponse = events.filter(({ relayWaits }) => relayWaits > 0).length
    moreIsDue = { fresh: events.length - withoutResponse === free.fresh, withoutResponse: withoutResponse === free.withoutResponse }
    const deliveries = events.map((event) => {
      const lane = event.relayWaits > 0 ? lanes.withoutResponse : lanes.fresh
      const delivery = lane.run(() => deliver(event)).finally(() => inProgress.delete(event))
      inProgress.set(event, delivery)
      return delivery
    })
    return { deliveries }
  }

  /** Never throws. If the outcome cannot be recorded, the claim expires and the event is sent again, which is idempotent. */
  async function deliver(event: ClaimedEvent): Promise<DeliveryOutcome> {
    const outcome = await deliverEvent({ ...deps, systemFault }, event)
    if (!inProgress.has(event)) return outcome // released by stop()
    if (outcome.kind === 'temporal_fault') reportFault('TemporalUnavailable', outcome.reason)
    else if (outcome.kind === 'refused') recordProblem('EventRefused')
    else if (outcome.kind === 'no_response') recordProblem('NoResponse')
    const written = record({ event, outcome })
    writing.add(written)
    try {
      await written
      return outcome
    } catch (error) {
      reportFault('DatabaseUnavailable', describe(error))
      return { kind: 'temporal_fault', reason: describe(error) }
    } finally {
      writing.delete(written)
    }
  }

  function pauseRelay(error: unknown): void {
    failedAttempts += 1
    reportFault('DatabaseUnavailable', describe(error))
  }

  /** Logs one error for each outage and a warning for each new reason, not a line for each event. */
  function reportFault(problem: RelayProblem, reason: string): void {
    recordProblem(problem)
    if (status.state === 'paused' && reason === lastReason) return
    lastReason = reason
    if (status.state === 'paused')
      return logger.warn({ problem, reason: redact(reason) }, 'Recording relay is still paused, for another reason')
    logger.error(
      { problem, reason: redact(reason) },
      'Recording relay paused: committed events wait until PostgreSQL and Temporal are available',
    )
    status = { ...status, state: 'paused', since: now() }
    failedAttempts = Math.max(failedAttempts, 1)
    paused.set(1)
    wake.open()
  }

  function resumeRelay(): void {
    failedAttempts = 0
    logger.info('Recording relay resumed')
    status = { ...status, state: 'relaying', since: now() }
    paused.set(0)
  }

  function recordProblem(problem: RelayProblem): void {
    status = { ...status, problem, problemAt: now() }
  }

  function canSendMore(): boolean {
    return (moreIsDue.fresh && lanes.fresh.freeSlots() > 0) || (moreIsDue.withoutResponse && lanes.withoutResponse.freeSlots() > 0)
  }

  function onFreeSlot(): void {
    if (canSendMore()) wake.open()
  }

  async function stop(): Promise<void> {
    stopping.abort()
    wake.open()
    await Promise.race([Promise.all([done, ...inProgress.values()]), pause(limits.slowAfterMs)])
    const abandoned = [...inProgress.keys()]
    inProgress.clear()
    await releaseEvents(database, abandoned).catch(() => {}) // if this fails, their leases expire
  }
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
