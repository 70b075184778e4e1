import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { pino } from 'pino'
import { alarmsWithoutReasons, createAlarms, type Alarms } from '../../platform/alarm-registry.ts'
import { registry } from '../../platform/metrics.ts'

const MINUTE_MS = 60_000

let lines: { msg: string; alarm: string; reason?: string }[]
let alarms: Alarms<string>
beforeEach(() => {
  jest.useFakeTimers({ now: new Date('2026-11-25T10:00:00Z') })
  lines = []
  alarms = createAlarms(pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(JSON.parse(line)) }))
})
afterEach(() => {
  jest.useRealTimers()
})
const reasons = (): (string | undefined)[] => lines.map(({ reason }) => reason)

test('When a raised alarm gets another reason, then the reason is shown with its time, and logged', () => {
  alarms.raise('A', 'first')
  jest.advanceTimersByTime(2 * MINUTE_MS)
  alarms.raise('A', 'second')
  expect(lines).toMatchObject([
    { msg: 'Recording alarm raised', alarm: 'A', reason: 'first' },
    { msg: 'Recording alarm has another reason', alarm: 'A', reason: 'second' },
  ])
  const times = { since: '2026-11-25T10:00:00.000Z', reasonAt: '2026-11-25T10:02:00.000Z' }
  expect(alarms.active()).toEqual([{ name: 'A', reason: 'second', ...times }])
  expect(alarmsWithoutReasons(alarms)).toEqual([{ name: 'A', ...times }])
})

test('When a raised alarm is raised again for the same reason, then nothing is logged, and its times stay', () => {
  alarms.raise('A', 'first')
  jest.advanceTimersByTime(2 * MINUTE_MS)
  alarms.raise('A', 'first')
  expect(reasons()).toEqual(['first'])
  expect(alarms.active()).toMatchObject([{ since: '2026-11-25T10:00:00.000Z', reasonAt: '2026-11-25T10:00:00.000Z' }])
})

test('When the reason changes all the time, then the newest reason is logged once a minute', () => {
  for (let second = 0; second < 150; second += 1) {
    alarms.raise('A', `${second} recordings`)
    jest.advanceTimersByTime(1000)
  }
  expect(reasons()).toEqual(['0 recordings', '59 recordings', '119 recordings'])
  expect(alarms.active()).toMatchObject([{ reason: '149 recordings' }])
  jest.advanceTimersByTime(MINUTE_MS)
  expect(reasons()).toEqual(['0 recordings', '59 recordings', '119 recordings', '149 recordings'])
  jest.advanceTimersByTime(10 * MINUTE_MS)
  expect(lines).toHaveLength(4)
})

test('When the alarm is cleared, then no reason is logged afterwards, and the next alarm is logged immediately', () => {
  alarms.raise('A', 'first')
  alarms.raise('A', 'second')
  alarms.clear('A')
  jest.advanceTimersByTime(2 * MINUTE_MS)
  expect(lines.map(({ msg }) => msg)).toEqual(['Recording alarm raised', 'Recording alarm cleared'])
  alarms.raise('A', 'third')
  expect(lines.at(-1)).toMatchObject({ msg: 'Recording alarm raised', reason: 'third' })
})

test('When two alarms are raised, then each logs its own reasons', () => {
  alarms.raise('A', 'first')
  alarms.raise('B', 'other')
  alarms.raise('A', 'second')
  alarms.clear('B')
  jest.advanceTimersByTime(MINUTE_MS)
  expect(reasons()).toEqual(['first', 'other', undefined, 'second'])
})

test('When an alarm is raised and cleared, then its metric is 1 and then 0', async () => {
  const metric = () => registry.getSingleMetricAsString('caly_alarm_raised')
  alarms.raise('Measured', 'a reason')
  expect(await metric()).toContain('{name="Measured"} 1')
  alarms.clear('Measured')
  expect(await metric()).toContain('{name="Measured"} 0')
})
