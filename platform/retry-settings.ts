// Every outgoing call of ours that is made again, and how often, in one place. docs/retries.md says which errors count as transient.
import type { z } from 'zod'
import type { Pauses, RetryPolicy } from './retry.ts'
import { decimal, whole } from './setting-types.ts'

const attempts = whole(1, 100)
/** Without a pause, an outage would keep a processor busy. */
const seconds = decimal(0.001, 86_400)

export const retrySettings = {
  /** Tries of one recording while Exotel fails it; frozen into a run's input at its start. */
  RETRY_RECORDING_TRIES: attempts.default(3),
  /** Activities whose service is away (S3, PostgreSQL, Exotel's API) come back after growing pauses, without limit. */
  RETRY_OUTAGE_FIRST_SECONDS: seconds.default(2),
  RETRY_OUTAGE_MAX_SECONDS: seconds.default(300),
  /** The relay while PostgreSQL or Temporal is away, without limit. */
  RETRY_RELAY_FIRST_SECONDS: seconds.default(1),
  RETRY_RELAY_MAX_SECONDS: seconds.default(30),
  /** Statements of the API that may be made twice. */
  RETRY_DATABASE_ATTEMPTS: attempts.default(2),
  RETRY_DATABASE_FIRST_SECONDS: seconds.default(0.05),
  RETRY_DATABASE_MAX_SECONDS: seconds.default(0.5),
  /** Each mail until it expires. */
  RETRY_MAIL_FIRST_SECONDS: seconds.default(2),
  RETRY_MAIL_MAX_SECONDS: seconds.default(60),
}

type RetrySettings = z.infer<z.ZodObject<typeof retrySettings>>
const RETRY_NAMES = ['OUTAGE', 'RELAY', 'DATABASE', 'MAIL'] as const
type RetryName = (typeof RETRY_NAMES)[number]

/** Names the kinds of retry whose first pause is longer than their longest one. */
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
