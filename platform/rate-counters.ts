// Counters in PostgreSQL that all API processes share. The time is the database's: a process with a wrong clock blocks nobody.
import type { Pool } from 'pg'
import { counter } from './metrics.ts'

export const refusals = counter('rate_limited_total', 'Requests refused by a limit', ['limit'])

export interface Count {
  points: number
  /** Until the count begins again. */
  msBeforeNext: number
}

interface Counter {
  /** Adds a point, and begins a window where none is open. */
  add(key: string, windowSeconds?: number): Promise<Count>
  /** Takes a point back, as long as its window is open. */
  takeBack(key: string): Promise<void>
  /** The points of the open window; 0 where there is none. */
  read(key: string): Promise<number>
  /** One point, in a window that begins now. */
  begin(key: string): Promise<void>
  delete(key: string): Promise<void>
}

interface CounterOptions {
  /** Keys begin with it. */
  name: string
  windowSeconds: number
  /** Where `add` is given other windows. */
  longestWindowSeconds?: number
}

export type CreateCounter = (options: CounterOptions) => Counter

/** Beyond the longest window: transactions that wait for one another, and a clock that is adjusted a little, are no error. */
const SLACK_MS = 60_000
const NOW_MS = '(extract(epoch FROM now()) * 1000)::bigint'
/** A window that ends later than `$2` ms from now, which none of its kind can, was begun by a wrong clock. */
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
    const believedMs = longestWindowSeconds * 1000 + SLACK_MS
    return {
      async add(key, seconds = windowSeconds) {
        const { rows } = await pool.query<{ points: number; ms: number }>(ADD, [keyed(key), believedMs, seconds * 1000])
        const { points, ms } = rows[0]!
        return { points, msBeforeNext: Math.max(0, ms) }
      },
      async takeBack(key) {
        await pool.query(TAKE_BACK, [keyed(key), believedMs])
      },
      async read(key) {
        const { rows } = await pool.query<{ points: number }>(READ, [keyed(key), believedMs])
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
