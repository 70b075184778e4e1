// How long a process waits before it tries again.
import { expect, test } from '@jest/globals'
import { pino } from 'pino'
import { backoffMs } from '../../platform/backoff.ts'
import { readConfig } from '../../platform/config.ts'
import { retrying } from '../../platform/retry.ts'
import { pausesOf, retryPolicy } from '../../platform/retry-settings.ts'
import { MINIMAL } from '../support/settings.ts'

const pausesAfter = (attempt: number): number[] => Array.from({ length: 200 }, () => backoffMs(attempt, { firstMs: 1000, maxMs: 30_000 }))

test.each([
  [1, 1000],
  [2, 2000],
  [5, 16_000],
  [6, 30_000],
  [5000, 30_000],
])('When attempt %i has failed, then the pause is at most %i ms, and at least half of it', (attempt, longestMs) => {
  const all = pausesAfter(attempt)
  expect(Math.max(...all)).toBeLessThanOrEqual(longestMs)
  expect(Math.min(...all)).toBeGreaterThanOrEqual(longestMs / 2)
})

test('When many clients have failed at the same time, then their pauses differ', () => {
  expect(new Set(pausesAfter(5)).size).toBeGreaterThan(50)
})

test('When a call has failed, then a line is logged, and the next attempt follows after the pause', async () => {
  const lines: object[] = []
  const logger = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  let calls = 0
  let hasPaused = false
  const call = async (): Promise<boolean> => {
    calls += 1
    if (calls === 2) return hasPaused
    setTimeout(() => (hasPaused = true), 10)
    throw new Error('the connection was reset')
  }
  // The shortest pause is 200 ms, so the timer above ends before it.
  const policy = { attempts: 2, firstMs: 400, maxMs: 400 }
  expect(await retrying(policy, { what: 'record event', isTransient: () => true, logger }, call)).toBe(true)
  expect(lines).toMatchObject([{ level: 40, what: 'record event', attempt: 1, attempts: 2 }])
})

test('When settings contain seconds, then pauses are in milliseconds', () => {
  expect(pausesOf(readConfig(MINIMAL), 'OUTAGE')).toEqual({ firstMs: 2000, maxMs: 300_000 })
  expect(retryPolicy(readConfig(MINIMAL), 'DATABASE')).toEqual({ attempts: 2, firstMs: 50, maxMs: 500 })
})
