import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { pino } from 'pino'
import { createExpiringAlarm, type ExpiringAlarm } from '../../activities/expiring-alarm.ts'
import { createRecordingHostAlarm } from '../../activities/recording-host-alarm.ts'
import type { AlarmName } from '../../contracts/alarm-names.ts'
import { createAlarms, type Alarms } from '../../platform/alarm-registry.ts'

const HOUR = 3600_000
const DAY = 24 * HOUR

let alarms: Alarms<AlarmName>
beforeEach(() => {
  jest.useFakeTimers()
  alarms = createAlarms<AlarmName>(pino({ enabled: false }))
})
afterEach(() => {
  jest.useRealTimers()
})

const open = (quietMs: number): ExpiringAlarm =>
  createExpiringAlarm(alarms, { name: 'ForeignObject', quietMs, reason: (subjects) => subjects.join(' ') })
const reasons = (): string[] => alarms.active().map(({ reason }) => reason)

test('When more subjects fail than an alarm names, then it stays raised until the last subject is removed', () => {
  const alarm = open(HOUR)
  const subjects = Array.from({ length: 12 }, (_, index) => `s${index}`)
  for (const subject of subjects) alarm.raise(subject)
  expect(alarms.active()).toMatchObject([{ name: 'ForeignObject', reason: subjects.slice(2).join(' ') }])
  for (const subject of subjects.slice(1)) alarm.clear(subject)
  expect(alarms.active()).toMatchObject([{ name: 'ForeignObject', reason: 's0' }])
  alarm.clear('s0')
  expect(alarms.active()).toEqual([])
})

test('When a fault occurs again, then its quiet time starts again, and the alarm names it as the newest', () => {
  const alarm = open(HOUR)
  alarm.raise('a')
  alarm.raise('b')
  jest.advanceTimersByTime(0.9 * HOUR)
  alarm.raise('a')
  expect(reasons()).toEqual(['b a'])
  jest.advanceTimersByTime(0.9 * HOUR)
  expect(reasons()).toEqual(['a'])
  jest.advanceTimersByTime(0.2 * HOUR)
  expect(reasons()).toEqual([])
})

test('When thousands of subjects fail, then only the newest 1000 are remembered', () => {
  const alarm = open(HOUR)
  const subjects = Array.from({ length: 1001 }, (_, index) => `s${index}`)
  for (const subject of subjects) alarm.raise(subject)
  for (const subject of subjects.slice(2)) alarm.clear(subject)
  expect(reasons()).toEqual(['s1'])
  alarm.clear('s1')
  expect(reasons()).toEqual([])
})

test('When the quiet time is longer than a timer can be, then the alarm does not end at once', () => {
  open(60 * DAY).raise('a')
  jest.advanceTimersByTime(20 * DAY)
  expect(reasons()).toEqual(['a'])
})

test('When a host is refused, then its alarm stays until recovery has certainly tried each recording again', () => {
  const recovery = { plan: { pausesMs: [0.25 * HOUR, 72 * HOUR, 24 * HOUR], forMs: 30 * DAY } }
  const alarm = createRecordingHostAlarm({ alarms, recovery, waitScale: 1 } as Parameters<typeof createRecordingHostAlarm>[0])
  alarm.raise('cdn.example')
  jest.advanceTimersByTime(72.5 * HOUR)
  expect(alarms.active()).toMatchObject([{ name: 'RecordingHostNotAllowed' }])
  jest.advanceTimersByTime(HOUR)
  expect(alarms.active()).toEqual([])
})
