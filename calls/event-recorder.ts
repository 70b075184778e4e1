// Records the events of concurrent webhooks together: one statement and one commit for several events.
import type { Queryable } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'
import { counter } from '../platform/metrics.ts'
import { recordEvent, recordEvents, type ReadDelivery, type Recorded } from './record-event.ts'

export interface EventRecorder {
  /** @throws the error of the database; the event may be recorded nevertheless, and recording it again is safe */
  record(delivery: ReadDelivery): Promise<Recorded>
}

interface Waiting {
  delivery: ReadDelivery
  sinceMs: number
  resolve: (recorded: Recorded) => void
  reject: (error: unknown) => void
}

/** While this many statements run, further events wait and share the next one. */
export const BATCHES_AT_ONCE = 2
const MOST_IN_BATCH = 50
/** An event that has waited this long is recorded by itself: the batches before it are slow. */
const LONGEST_WAIT_MS = 250
/** A larger event is recorded by itself, so that it delays no other. */
const LARGEST_IN_BATCH_BYTES = 64 * 1024

const batches = counter('event_batches_total', 'Statements that recorded the events of concurrent webhooks', ['result'])

/**
 * An event does not wait while fewer than `BATCHES_AT_ONCE` statements run. The events of a failed batch are recorded one by one, so that
 * one event (a locked row, a value that PostgreSQL refuses) neither fails nor delays the others.
 * @param connections.batches a pool of `BATCHES_AT_ONCE` connections with short timeouts, which limit the delay by a locked row
 * @param connections.single for events that are recorded by themselves
 */
export function createEventRecorder(connections: { batches: Queryable; single: Queryable }, logger: Logger): EventRecorder {
  let waiting: Waiting[] = []
  let running = 0
  return {
    record(delivery) {
      if ((delivery.rawBody?.length ?? 0) > LARGEST_IN_BATCH_BYTES) return recordEvent(connections.single, delivery)
      return new Promise((resolve, reject) => {
        waiting.push({ delivery, sinceMs: performance.now(), resolve, reject })
        startBatches()
      })
    },
  }

  function startBatches(): void {
    while (running < BATCHES_AT_ONCE && waiting.length > 0) {
      running += 1
      void recordBatch(takeBatch()).finally(() => {
        running -= 1
        startBatches()
      })
    }
  }

  /** Takes the oldest events, one of each call, because a statement can change a row only once. */
  function takeBatch(): Waiting[] {
    const latest = performance.now() - LONGEST_WAIT_MS
    const batch = new Map<string, Waiting>()
    const rest: Waiting[] = []
    for (const item of waiting) {
      const { callSid } = item.delivery.event
      if (item.sinceMs < latest) void recordSingle(item)
      else if (batch.size < MOST_IN_BATCH && !batch.has(callSid)) batch.set(callSid, item)
      else rest.push(item)
    }
    waiting = rest
    return [...batch.values()]
  }

  async function recordBatch(batch: Waiting[]): Promise<void> {
    if (batch.length === 0) return
    try {
      const recorded = await recordEvents(
        connections.batches,
        batch.map(({ delivery }) => delivery),
      )
      batches.inc({ result: 'committed' })
      batch.forEach(({ resolve }, position) => resolve(recorded[position]!))
    } catch (error) {
      batches.inc({ result: 'failed' })
      logger.warn({ error, events: batch.length }, 'Events were not recorded together: each is recorded by itself')
      for (const item of batch) void recordSingle(item)
    }
  }

  async function recordSingle({ delivery, resolve, reject }: Waiting): Promise<void> {
    await recordEvent(connections.single, delivery).then(resolve, reject)
  }
}
