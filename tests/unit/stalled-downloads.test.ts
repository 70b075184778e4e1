import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { pino } from 'pino'
import { createStalledDownloads, type StalledDownloads } from '../../activities/stalled-downloads.ts'
import type { AlarmName } from '../../contracts/alarm-names.ts'
import { createAlarms, type Alarms } from '../../platform/alarm-registry.ts'

const SLOTS = 2
const QUEUE = 'recording-downloads'

let alarms: Alarms<AlarmName>
let stalled: StalledDownloads
beforeEach(() => {
  jest.useFakeTimers()
  alarms = createAlarms(pino({ level: 'silent' }))
  stalled = createStalledDownloads({
    alarms,
    downloads: { slots: SLOTS, startMs: 30_000, pace: { idleMs: 30_000, baseMs: 30_000, msPerMb: 1000 } },
  })
})
afterEach(() => {
  jest.useRealTimers()
})

interface Held {
  progress(bytes: number): void
  succeed(): Promise<void>
  fail(): Promise<void>
}

function hold(queue = QUEUE): Held {
  const end = { succeed: (): void => {}, fail: (_error: Error): void => {} }
  let progress: (bytes: number) => void = () => {}
  const ended = stalled
    .hold(queue, (onProgress) => {
      progress = onProgress
      return new Promise<void>((resolve, reject) => Object.assign(end, { succeed: resolve, fail: reject }))
    })
    .catch(() => {})
  return {
    progress: (bytes) => progress(bytes),
    succeed: () => (end.succeed(), ended),
    fail: () => (end.fail(new Error('failed')), ended),
  }
}
const seconds = (count: number): void => {
  jest.advanceTimersByTime(count * 1000)
}
const isRaised = (): boolean => alarms.active().some(({ name }) => name === 'DownloadsStalled')

test('When a slot is free, then there is no alarm', () => {
  hold()
  seconds(120)
  expect(isRaised()).toBe(false)
})

test('When all slots are held for a short time only, then there is no alarm', () => {
  hold()
  hold()
  seconds(10)
  expect(isRaised()).toBe(false)
})

test('When the slots are held in different queues, then there is no alarm', () => {
  hold()
  hold('another queue')
  seconds(120)
  expect(isRaised()).toBe(false)
})

test('When one of the downloads receives its recording, then there is no alarm', () => {
  hold()
  const good = hold()
  for (let i = 0; i < 30; i += 1) {
    good.progress(i * 100_000)
    seconds(4)
  }
  expect(isRaised()).toBe(false)
})

describe('When all slots are held without progress,', () => {
  let first: Held
  beforeEach(() => {
    first = hold()
    hold()
    seconds(20)
    expect(isRaised()).toBe(true)
  })

  test('then single bytes do not clear the alarm, not even for a resumed download', () => {
    for (let bytes = 5_000_000; bytes < 5_000_030; bytes += 1) {
      first.progress(bytes)
      seconds(1)
    }
    expect(isRaised()).toBe(true)
  })

  test('then progress clears the alarm immediately', () => {
    first.progress(1)
    first.progress(100_000)
    expect(isRaised()).toBe(false)
  })

  test('then a completed download clears the alarm immediately', async () => {
    await first.succeed()
    expect(isRaised()).toBe(false)
  })

  test('then the alarm stays raised while another stalled download follows each failed one', async () => {
    for (let i = 0; i < 10; i += 1) {
      await first.fail()
      first = hold()
      seconds(30)
      expect(isRaised()).toBe(true)
    }
  })

  test('then the alarm is cleared a minute after a slot becomes free', async () => {
    await first.fail()
    seconds(30)
    expect(isRaised()).toBe(true)
    seconds(60)
    expect(isRaised()).toBe(false)
  })

  test('then progress in another queue does not clear the alarm', async () => {
    await hold('another queue').succeed()
    expect(isRaised()).toBe(true)
  })
})

test('When two queues are stalled and one makes progress, then the alarm stays raised because of the other', () => {
  const [first] = [hold(), hold(), hold('another queue'), hold('another queue')]
  seconds(20)
  first!.progress(1)
  first!.progress(100_000)
  expect(isRaised()).toBe(true)
})

test('When no slot is held and no alarm is raised, then the checks stop', async () => {
  await hold().succeed()
  seconds(10)
  expect(jest.getTimerCount()).toBe(0)
})
