// The settings of the retries of outgoing calls. Of a recording's retries, only the number of attempts is here: what follows from a failed
// attempt, and after which pause, is decided in workflows/retry-state.ts. docs/retries.md says which errors count as transient.
import type { z } from 'zod'
import type { Pauses, RetryPolicy } from './retry.ts'
import { decimal, whole } from './setting-types.ts'

const attempts = whole(1, 100)
/** At least 1 ms: without a pause, retries during an outage would use all CPU time. */
const seconds = decimal(0.001, 86_400)

export const retrySettings = {
  /** Attempts for one recording if Exotel fails. Written into the workflow input when a run starts. */
  RETRY_RECORDING_TRIES: attempts.default(3),
  /** Retries of activities while their service (S3, PostgreSQL, Exotel's API) is unavailable. Without limit. */
  RETRY_OUTAGE_FIRST_SECONDS: seconds.default(2),
  RETRY_OUTAGE_MAX_SECONDS: seconds.default(300),
  /** Retries of the relay while PostgreSQL or Temporal is unavailable. Without limit. */
  RETRY_RELAY_FIRST_SECONDS: seconds.default(1),
  RETRY_RELAY_MAX_SECONDS: seconds.default(30),
  /** Retries of the API's idempotent statements. */
  RETRY_DATABASE_ATTEMPTS: attempts.default(2),
  RETRY_DATABASE_FIRST_SECONDS: seconds.default(0.05),
  RETRY_DATABASE_MAX_SECONDS: seconds.default(0.5),
  /** Retries of each mail until it expires. */
  RETRY_MAIL_FIRST_SECONDS: seconds.default(2),
  RETRY_MAIL_MAX_SECONDS: seconds.default(60),
}

export type RetrySettings = z.infer<z.ZodObject<typeof retrySettings>>
const RETRY_NAMES = ['OUTAGE', 'RELAY', 'DATABASE', 'MAIL'] as const
type RetryName = (typeof RETRY_NAMES)[number]

/** @returns the kinds of retry whose first pause is longer than their longest one */
export function firstAboveMax(config: RetrySettings): RetryName[] {
  return RETRY_NAMES.filter((name) => config[`RETRY_${name}_FIRST_SECONDS`] > config[`RETRY_${name}_MAX_SECONDS`])
}

/** The pauses of one kind of retry, see `retrySettings`. */
export function pausesOf(config: RetrySettings, name: RetryName): Pauses {
  return { firstMs: config[`RETRY_${name}_FIRST_SECONDS`] * 1000, maxMs: config[`RETRY_${name}_MAX_SECONDS`] * 1000 }
}

export function retryPolicy(config: RetrySettings, name: 'DATABASE'): RetryPolicy {
  return { attempts: config[`RETRY_${name}_ATTEMPTS`], ...pausesOf(config, name) }
}
