// Counters in PostgreSQL that all API processes share. They use the database's clock, so a process with a wrong clock blocks nobody.
import type { Pool } from 'pg'
import { counter } from './metrics.ts'

export const refusals = counter('rate_limited_total', 'Requests refused by a limit', ['limit'])

export interface Count {
  points: number
  /** Time until the window ends. */
  msBeforeNext: number
}

interface Counter {
  /** Adds a point. Starts a window if none is open. */
  add(key: string, windowSeconds?: number): Promise<Count>
  /** Removes a point if the window is open. */
  takeBack(key: string): Promise<void>
  /** Returns the points of the open window, or 0 if none is open. */
  read(key: string): Promise<number>
  /** Starts a new window with one point. */
  begin(key: string): Promise<void>
  delete(key: string): Promise<void>
}

interface CounterOptions {
  /** Prefix of the keys. */
  name: string
  windowSeconds: number
  /** Required if calls of `add` have longer windows. */
  longestWindowSeconds?: number
}

export type CreateCounter = (options: CounterOptions) => Counter

/** Tolerance beyond the longest window, for transactions that wait for one another and for small adjustments of the clock. */
const SLACK_MS = 60_000
const NOW_MS = '(extract(epoch FROM now()) * 1000)::bigint'
/** A window that ends more than `$2` ms from now is longer than any valid one: the clock was wrong when it started, so it is ignored. */
const IS_OPEN = `rate_limits.expire > ${NOW_MS} AND rate_limits.expire <= ${NOW_MS} + $2::bigint`

const ADD = `
  INSERT INTO rate_limits (key, points, expire) VALUES ($1, 1, ${NOW_MS} + $3::bigint)
  ON CONFLICT (key) DO UPDATE SET
    points = CASE WHEN ${IS_OPEN} THEN rate_limits.points + 1 ELSE 1 END,
    expire = CASE WHEN ${IS_OPEN} THEN rate_limits.expire ELSE excluded.expire END
  RETURNING points, (expire - ${NOW_MS})::float8 AS ms`
const TAKE_BACK = `UPDATE rate_limits SET points = points - 1 WHERE key = $1 AND points > 0 AND ${IS_OPEN}`
const READ = `SELECT points FROM rate_limits WHERE key = $1 AND ${IS_OPEN}`
const BEGIN = `
  INSERT INTO rate_limits (key, points, expire) VALUES ($1, 1, ${NOW_MS} + $2::bigint)
  ON CONFLICT (key) DO UPDATE SET points = 1, expire = excluded.expire`
const DELETE = 'DELETE FROM rate_limits WHERE key = $1'

export function countersOf(pool: Pool): CreateCounter {
  return ({ name, windowSeconds, longestWindowSeconds = windowSeconds }) => {
    const keyed = (key: string): string => `${name}:${key}`
    const longestValidMs = longestWindowSeconds * 1000 + SLACK_MS
    return {
      async add(key, seconds = windowSeconds) {
        const { rows } = await pool.query<{ points: number; ms: number }>(ADD, [keyed(key), longestValidMs, seconds * 1000])
        const { points, ms } = rows[0]!
        return { points, msBeforeNext: Math.max(0, ms) }
      },
      async takeBack(key) {
        await pool.query(TAKE_BACK, [keyed(key), longestValidMs])
      },
      async read(key) {
        const { rows } = await pool.query<{ points: number }>(READ, [keyed(key), longestValidMs])
        return rows[0]?.points ?? 0
      },
      async begin(key) {
        await pool.query(BEGIN, [keyed(key), windowSeconds * 1000])
      },
      async delete(key) {
        await pool.query(DELETE, [keyed(key)])
      },
    }
  }
}

/** Whole seconds for Retry-After: at least 1, so that no client retries immediately. */
export function wholeSeconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000))
}
