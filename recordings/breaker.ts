// One circuit breaker for all uploads of a worker. While S3 is unavailable, uploads fail at once instead of each waiting for its
// own timeout. A short probe decides when the breaker closes again.
import {
  CircuitState,
  ConsecutiveBreaker,
  ExponentialBackoff,
  circuitBreaker,
  handleType,
  isBrokenCircuitError,
  noJitterGenerator,
} from 'cockatiel'
import type { AlarmName } from '../contracts/alarm-names.ts'
import type { Alarms } from '../platform/alarm-registry.ts'
import type { Logger } from '../platform/logger.ts'
import { gauge } from '../platform/metrics.ts'
import { classifyStoreError, StoreUnavailable } from './store-errors.ts'

/**
 * `unavailable` and `available`: the store as a whole. `unrelated`: the error is local (a lost file, a shutdown, a
 * cancellation); it does not change the count of failures.
 */
type StoreCondition = 'unavailable' | 'available' | 'unrelated'

export interface StoreBreaker {
  /**
   * Runs an upload, unless the store is known to be unavailable.
   * @param conditionIn returns what an error of the upload says about the store as a whole
   * @throws {StoreUnavailable} or what the upload throws
   */
  run<T>(upload: () => Promise<T>, conditionIn: (error: unknown) => StoreCondition): Promise<T>
  state(): 'closed' | 'half-open' | 'open'
}

export interface StoreBreakerOptions {
  alarms: Alarms<AlarmName>
  logger: Logger
  waitScale: number
  /** Reads from and writes to the store within seconds; rejects with the store's error. */
  probe: (signal: AbortSignal) => Promise<void>
}

const FAILURES_IN_A_ROW = 5
const PAUSE_MS = { initialDelay: 5000, maxDelay: 60_000 }
/** All other uploads are refused while the probe runs. */
const PROBE_DEADLINE_MS = 10_000
const ALARM = 'StorageUnavailable'
const STATES = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.HalfOpen]: 'half-open',
  [CircuitState.Open]: 'open',
  [CircuitState.Isolated]: 'open',
} as const

const stateGauge = gauge('store_breaker_state', 'Circuit breaker around S3: 0 closed, 1 half-open, 2 open')

/** Marks the one kind of failure that the breaker counts. */
class CountedFailure extends Error {}

/**
 * The breaker counts whole uploads, not single requests. If the store can be read but not written, each HEAD would reset a count
 * of requests. For the same reason, the probe also writes.
 */
export function createStoreBreaker({ alarms, logger, waitScale, probe }: StoreBreakerOptions): StoreBreaker {
  const policy = circuitBreaker(handleType(CountedFailure), {
    breaker: new ConsecutiveBreaker(FAILURES_IN_A_ROW),
    halfOpenAfter: new ExponentialBackoff({
      initialDelay: PAUSE_MS.initialDelay * waitScale,
      maxDelay: PAUSE_MS.maxDelay * waitScale,
      generator: noJitterGenerator, // with jitter, a pause may be almost zero
    }),
  })
  const state = (): 'closed' | 'half-open' | 'open' => STATES[policy.state]
  policy.onStateChange(() => {
    stateGauge.set(['closed', 'half-open', 'open'].indexOf(state()))
    logger.info({ breaker: state() }, 'The circuit breaker for S3 changed its state')
    if (state() === 'closed') alarms.clear(ALARM)
  })
  policy.onBreak((reason) => {
    if ('error' in reason) alarms.raise(ALARM, reason.error.message)
  })

  return {
    state,
    async run(upload, conditionIn) {
      if (policy.state !== CircuitState.Closed) await probeStore()
      const result = await counted(() =>
        upload().then(
          (value) => ({ value }),
          (error: unknown) => {
            const condition = conditionIn(error)
            if (condition === 'available') return { error } // the breaker counts this as a success
            throw condition === 'unavailable' ? asCounted(error) : error
          },
        ),
      )
      if ('error' in result) throw result.error
      return result.value
    },
  }

  /** The probe has its own deadline and ignores the attempt's signal, so that a shutdown or a cancellation does not count as a failure. */
  async function probeStore(): Promise<void> {
    if (policy.state === CircuitState.HalfOpen) throw new StoreUnavailable('S3 is unavailable; the probe of another upload is running')
    await counted(() =>
      probe(AbortSignal.timeout(PROBE_DEADLINE_MS)).catch((error: unknown) => {
        const { of, reason } = classifyStoreError(error)
        if (of === 'service') throw asCounted(new StoreUnavailable(`S3 is unavailable: ${reason}`))
        // The store responds. If the setup is wrong, the upload itself fails and reports it.
      }),
    )
  }

  async function counted<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await policy.execute(work)
    } catch (error) {
      if (isBrokenCircuitError(error)) throw new StoreUnavailable('S3 is unavailable')
      throw error instanceof CountedFailure ? error.cause : error
    }
  }
}

function asCounted(error: unknown): CountedFailure {
  return new CountedFailure(error instanceof Error ? error.message : String(error), { cause: error })
}
