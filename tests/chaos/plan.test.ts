import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { isUrgent, planCalls, type PlannedCall } from '../../testing/chaos/call-mix.ts'
import { planConditions, planWorkflowFaults, seededRandom } from '../../testing/chaos/plan.ts'
import { FAULTS, type Fault } from '../../testing/simulator/faults.ts'

const folder = mkdtempSync(join(tmpdir(), 'plan-'))
afterAll(() => rmSync(folder, { recursive: true }))

const SEEDS = Array.from({ length: 20 }, (_, index) => index + 1)
const shortRun = (seed: number): PlannedCall[] => planCalls(seededRandom(seed), { calls: 60, minutes: 2, folder })
const count = (calls: PlannedCall[], is: (call: PlannedCall) => boolean): number => calls.filter(is).length
const faultIs =
  (...starts: string[]) =>
  (call: PlannedCall) =>
    starts.some((start) => call.plan.fault.startsWith(start))

test.each(SEEDS)('When a run has 60 calls and the seed is %i, then it has several calls of each class', (seed) => {
  const calls = shortRun(seed)
  expect(count(calls, faultIs('changed-', 'if-range-'))).toBeGreaterThanOrEqual(7)
  expect(count(calls, faultIs('range-', 'chunked', 'connection-'))).toBeGreaterThanOrEqual(5)
  expect(count(calls, faultIs('passthru'))).toBeGreaterThanOrEqual(3)
  expect(count(calls, faultIs('empty-', 'refused-', 'call-unknown'))).toBeGreaterThanOrEqual(2)
  expect(count(calls, faultIs('link-expires'))).toBeGreaterThanOrEqual(2)
  expect(count(calls, (call) => isUrgent(call) && faultIs('late-recording', 'rate-limited-long')(call))).toBeGreaterThanOrEqual(2)
  expect(count(calls, ({ further }) => further?.link === 'plain')).toBeGreaterThanOrEqual(3)
  expect(count(calls, ({ plan }) => plan.untold === true)).toBeGreaterThanOrEqual(2)
  expect(count(calls, ({ plan }) => FAULTS[plan.fault].ends === 'failed')).toBeGreaterThanOrEqual(2)
  expect(
    planWorkflowFaults(
      seededRandom(seed),
      calls.map(({ plan }) => plan.callSid),
    ).size,
  ).toBeGreaterThanOrEqual(3)
  expect(planConditions(seededRandom(seed)).keysInPage).toBeGreaterThan(1)
})

test('When a run is long, then it has every fault except the one in which no client can detect a cut transfer', () => {
  const made = new Set(planCalls(seededRandom(7), { calls: 900, minutes: 15, folder }).map(({ plan }) => plan.fault))
  const missing = (Object.keys(FAULTS) as Fault[]).filter((fault) => !made.has(fault))
  expect(missing).toEqual(['until-close'])
})

test('When the seed is the same, then the plan is the same, including the CallSids', () => {
  expect(shortRun(5)).toEqual(shortRun(5))
  expect(shortRun(5)).not.toEqual(shortRun(6))
})
