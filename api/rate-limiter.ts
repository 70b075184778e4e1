// Counters in PostgreSQL that all API processes share, and what a client is told when one of them is used up.
import type { Pool } from 'pg'
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible'
import { counter } from '../platform/metrics.ts'
import { problem, type Problem } from '../platform/problem.ts'
import { RETRY_AFTER_OUTAGE } from './middleware/errors.ts'

const refusals = counter('rate_limited_total', 'Requests refused by a limit', ['limit'])

export type CreateLimiter = (keyPrefix: string, points: number, durationSeconds: number, more?: object) => RateLimiterPostgres

export function limitersOf(pool: Pool): CreateLimiter {
  return (keyPrefix, points, duration, more = {}) =>
    new RateLimiterPostgres({
      storeClient: pool,
      tableName: 'rate_limits',
      tableCreated: true,
      clearExpiredByTimeout: false,
      keyPrefix,
      points,
      duration,
      ...more,
    })
}

export type Consumed = { refused: boolean; remainingPoints: number; msBeforeNext: number } | Error

/** The library rejects with its result where the limit is reached, and with an error where its store fails. */
export async function consume(ask: () => Promise<RateLimiterRes>): Promise<Consumed> {
  const shape = ({ remainingPoints, msBeforeNext }: RateLimiterRes, refused: boolean) => ({ refused, remainingPoints, msBeforeNext })
  return ask().then(
    (result) => shape(result, false),
    (reason: unknown) => (reason instanceof RateLimiterRes ? shape(reason, true) : (reason as Error)),
  )
}

export function tooMany(limit: string, msBeforeNext: number): Problem {
  refusals.inc({ limit })
  return problem('rate_limited', `Try again in ${seconds(msBeforeNext)} s`, { 'Retry-After': String(seconds(msBeforeNext)) })
}

export function unavailable(): Problem {
  return problem('limits_unavailable', 'Please try again', RETRY_AFTER_OUTAGE)
}

export function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000))
}
