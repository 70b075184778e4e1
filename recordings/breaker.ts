// One circuit breaker for all uploads of a worker: while S3 is away, tasks are given back at once instead of each finding out
// for itself, and one upload at a time tries whether it is back.
import {
  CircuitState,
  ConsecutiveBreaker,
  ExponentialBackoff,
  circuitBreaker,
  handleAll,
  isBrokenCircuitError,
  noJitterGenerator,
} from 'cockatiel'
import type { Alarms } from '../platform/alarms.ts'
import type { Logger } from '../platform/logger.ts'
import { gauge } from '../platform/metrics.ts'
import { StoreAway } from './store-errors.ts'

export interface StoreBreaker {
  /**
   * @param blamesStore which errors of the work are the store's as a whole; all others, as success, say that it serves
   * @throws {StoreAway} or what the work throws
   */
  run<T>(work: () => Promise<T>, blamesStore: (error: unknown) => boolean): Promise<T>
  state(): 'closed' | 'half-open' | 'open'
}

const FAILURES_IN_A_ROW = 5
const PAUSE_MS = { initialDelay: 5000, maxDelay: 60_000 }
const ALARM = 'StorageUnavailable'
const STATES = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.HalfOpen]: 'half-open',
  [CircuitState.Open]: 'open',
  [CircuitState.Isolated]: 'open',
} as const

const stateGauge = gauge('store_breaker_state', 'Circuit breaker around S3: 0 closed, 1 half-open, 2 open')

export function createStoreBreaker({ alarms, logger, waitScale }: { alarms: Alarms; logger: Logger; waitScale: number }): StoreBreaker {
  const policy = circuitBreaker(handleAll, {
    breaker: new ConsecutiveBreaker(FAILURES_IN_A_ROW),
    halfOpenAfter: new ExponentialBackoff({
      initialDelay: PAUSE_MS.initialDelay * waitScale,
      maxDelay: PAUSE_MS.maxDelay * waitScale,
      generator: noJitterGenerator, // its jitter may make a pause of next to nothing
    }),
  })
  const state = (): 'closed' | 'half-open' | 'open' => STATES[policy.state]
  policy.onStateChange(() => {
    stateGauge.set(['closed', 'half-open', 'open'].indexOf(state()))
    logger.info({ breaker: state() }, 'Recording store breaker changed')
    if (state() === 'closed') alarms.clear(ALARM)
  })
  policy.onBreak((reason) => {
    if ('error' in reason) alarms.raise(ALARM, reason.error.message)
  })

  return {
    state,
    async run(work, blamesStore) {
      if (policy.state === CircuitState.HalfOpen) throw new StoreAway('S3 is away; another upload tries whether it is back')
      const result = await policy
        .execute(() =>
          work().then(
            (value) => ({ value }),
            (error: unknown) => {
              if (blamesStore(error)) throw error
              return { error }
            },
          ),
        )
        .catch((error: unknown) => {
          throw isBrokenCircuitError(error) ? new StoreAway('S3 is away') : error
        })
      if ('error' in result) throw result.error
      return result.value
    },
  }
}
