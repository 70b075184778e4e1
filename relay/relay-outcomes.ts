// Records the outcomes of deliveries in PostgreSQL, logs and metrics. Outcomes that arrive while a statement runs are written together.
import { deferEvents, markRelayed, recordNoResponse, releaseEvents, type ClaimedEvent } from '../calls/relay-events.ts'
import type { Database } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'
import { counter } from '../platform/metrics.ts'
import type { DeliveryOutcome } from './deliver-event.ts'

interface Delivery {
  event: ClaimedEvent
  outcome: DeliveryOutcome
}

const relayed = counter('relay_events_total', 'Events by the outcome of their delivery to Temporal', ['result'])
/** Label values of the metric. */
const RESULTS = {
  started: 'started',
  nothing_new: 'nothing_new',
  refused: 'deferred',
  no_response: 'no_response',
  temporal_fault: 'released',
}

for (const result of Object.values(RESULTS)) relayed.inc({ result }, 0) // each series exists from the start

/** Resolves once the outcome is committed. */
export function createOutcomeRecorder(database: Database, logger: Logger): (delivery: Delivery) => Promise<void> {
  return inGroups(async (deliveries) => {
    await record(database, deliveries)
    for (const delivery of deliveries) {
      relayed.inc({ result: RESULTS[delivery.outcome.kind] })
      log(logger, delivery)
    }
  })
}

async function record(database: Database, deliveries: Delivery[]): Promise<void> {
  const of = (kind: DeliveryOutcome['kind']) =>
    deliveries
      .filter(({ outcome }) => outcome.kind === kind)
      .map(({ event, outcome }) => ({ id: event.id, claimId: event.claimId, reason: reasonOf(outcome) }))
  await markRelayed(database, { started: of('started'), nothingNew: of('nothing_new') })
  await deferEvents(database, of('refused'))
  await recordNoResponse(database, of('no_response'))
  await releaseEvents(database, of('temporal_fault'))
}

function reasonOf(outcome: DeliveryOutcome): string {
  return outcome.kind === 'started' || outcome.kind === 'nothing_new' ? '' : outcome.reason
}

function log(logger: Logger, { event, outcome }: Delivery): void {
  const facts = { callSid: event.callSid, event: String(event.id) }
  if (outcome.kind === 'refused')
    logger.error(
      { ...facts, tries: event.relayTries + 1, reason: outcome.reason },
      'Event deferred: Temporal refused its signal-with-start',
    )
  // Logged after the first of these attempts only, because the others follow as often as every 30 s.
  if (outcome.kind === 'no_response' && event.relayWaits === 0)
    logger.warn(
      { ...facts, reason: outcome.reason },
      'Event delayed: Temporal did not respond to its signal-with-start, which is sent again after 1 to 30 s',
    )
}

/** Groups the items that arrive while `write` runs, and writes each group at once. Resolves or rejects with the write of the item's group. */
function inGroups<T>(write: (items: T[]) => Promise<void>): (item: T) => Promise<void> {
  let last: Promise<unknown> = Promise.resolve()
  let next: { items: T[]; written: Promise<void> } | undefined
  return (item) => {
    if (!next) {
      const items: T[] = []
      const written = last.then(() => {
        next = undefined
        return write(items)
      })
      next = { items, written }
      last = written.catch(() => {})
    }
    next.items.push(item)
    return next.written
  }
}
