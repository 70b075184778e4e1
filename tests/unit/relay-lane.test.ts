// The slots of one lane of the relay.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { openLane, type Lane } from '../../relay/relay-lane.ts'
import { eventually } from '../support/eventually.ts'

const LIMITS = { concurrency: 4, slowAfterMs: 20, inFlight: 6 }
/** No request of a test becomes slow. */
const PATIENT = { ...LIMITS, slowAfterMs: 3600_000 }

let ends: (() => void)[]
let running: Promise<void>[]
beforeEach(() => {
  ends = []
  running = []
})
afterEach(() => endAll())

/** Starts this many requests, which take until {@link endAll}. */
function begin(lane: Lane, count: number): void {
  for (let i = 0; i < count; i += 1) running.push(lane.run(() => new Promise<void>((resolve) => ends.push(resolve))))
}
async function endAll(): Promise<void> {
  for (const end of ends.splice(0)) end()
  await Promise.all(running)
}

describe('When requests of a lane get no response', () => {
  test('then they give their places to others, until the lane has as many as may be in flight', async () => {
    let slow = 0
    const lane = openLane(LIMITS, () => (slow += 1))
    begin(lane, 4)
    expect(lane.freeSlots()).toBe(0)
    await eventually('their places to be free', async () => slow === 4)
    expect(lane.freeSlots()).toBe(2)
    begin(lane, 2)
    await eventually('the others to be slow, too', async () => slow === 6)
    expect(lane.freeSlots()).toBe(0)
    await endAll()
    expect(lane.freeSlots()).toBe(4)
  })
})

describe('When requests of a lane end', () => {
  test('then each frees one place, also if it was slow or has failed', async () => {
    const lane = openLane(LIMITS, () => {})
    begin(lane, 4)
    await eventually('their places to be free', async () => lane.freeSlots() === 2)
    await endAll()
    await expect(lane.run(() => Promise.reject(new Error('refused')))).rejects.toThrow('refused')
    expect(lane.freeSlots()).toBe(4)
  })

  test('then the relay is told, and places are offered only when at least half of them are free', async () => {
    const offered: number[] = []
    const lane = openLane(PATIENT, () => offered.push(lane.freeSlots()))
    begin(lane, 4)
    for (const end of ends.splice(0)) {
      const before = offered.length
      end()
      await eventually('the end of one', async () => offered.length > before)
    }
    expect(offered).toEqual([0, 2, 3, 4])
  })
})
