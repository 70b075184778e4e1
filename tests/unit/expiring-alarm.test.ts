import { expect, test } from '@jest/globals'
import { pino } from 'pino'
import { createExpiringAlarm } from '../../activities/expiring-alarm.ts'
import type { AlarmName } from '../../contracts/alarm-names.ts'
import { createAlarms } from '../../platform/alarms.ts'

test('When more subjects fail than an alarm names, then it stays raised until the last subject is removed', () => {
  const alarms = createAlarms<AlarmName>(pino({ enabled: false }))
  const alarm = createExpiringAlarm(alarms, { name: 'ForeignObject', quietMs: 3600_000, reason: (subjects) => subjects.join(' ') })
  const subjects = Array.from({ length: 12 }, (_, index) => `s${index}`)
  for (const subject of subjects) alarm.raise(subject)
  expect(alarms.active()).toMatchObject([{ name: 'ForeignObject', reason: subjects.slice(2).join(' ') }])
  for (const subject of subjects.slice(1)) alarm.clear(subject)
  expect(alarms.active()).toMatchObject([{ name: 'ForeignObject', reason: 's0' }])
  alarm.clear('s0')
  expect(alarms.active()).toEqual([])
})
