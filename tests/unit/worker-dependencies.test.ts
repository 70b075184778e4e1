// What the settings mean for the activities of a worker.
import { expect, test } from '@jest/globals'
import { pino } from 'pino'
import { openDependencies, type Dependencies } from '../../activities/dependencies.ts'
import type { AlarmName } from '../../contracts/alarm-names.ts'
import { createAlarms } from '../../platform/alarm-registry.ts'
import { readConfig } from '../../platform/config.ts'
import { MINIMAL } from '../support/settings.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

/** The dependencies of a worker with these settings. Nothing is connected. */
function dependenciesOf(settings: Record<string, string>): Omit<Dependencies, 'temporal'> {
  const logger = pino({ level: 'silent' })
  const shared = { database: undefined as never, spool: undefined as never, alarms: createAlarms<AlarmName>(logger), logger }
  const deps = openDependencies(readConfig({ ...MINIMAL, ...settings }), shared)
  deps.store.close()
  deps.bucketObjects.close()
  deps.source.agents.destroy()
  return deps
}

test('When a worker starts, then its limits and pauses are those of the settings', () => {
  const deps = dependenciesOf({
    RECOVERY_FOR_DAYS: '20',
    RECOVERY_PAUSES_MINUTES: '15,60',
    RECOVERY_PER_PASS: '70',
    RETRY_OUTAGE_FIRST_SECONDS: '3',
    RETRY_OUTAGE_MAX_SECONDS: '200',
    WORKER_DOWNLOADS: '7',
    RECORDING_MAX_BYTES: '5000',
  })
  expect(deps.recovery).toEqual({
    plan: { pausesMs: [15 * MINUTE, 60 * MINUTE], forMs: 20 * DAY },
    perPass: 70,
    quietMs: 10 * MINUTE,
    openRunPauseMs: 6 * 60 * MINUTE,
  })
  expect(deps.pauses).toEqual({ firstMs: 3000, maxMs: 200_000 })
  expect(deps.downloads.slots).toBe(7)
  expect(deps.maxBytes).toBe(5000)
})

test('When hosts of recordings are set, then only those of Exotel get its key, and local addresses are not allowed', () => {
  const { source } = dependenciesOf({
    EXOTEL_RECORDING_HOSTS: 'recordings.exotel.com',
    EXOTEL_PUBLIC_RECORDING_HOSTS: 'cdn.example',
    EXOTEL_API_KEY: 'the-key',
    EXOTEL_API_TOKEN: 'the-token',
  })
  expect(source.policy).toEqual({ hosts: ['recordings.exotel.com'], publicHosts: ['cdn.example'], allowLocal: false })
  expect(source.credentials).toEqual({ apiKey: 'the-key', apiToken: 'the-token' })
})

test('When clean-up runs more rarely than daily, then it is overdue after two intervals, otherwise after a day', () => {
  const days = { SESSION_DAYS: '45', WEBHOOK_BODY_DAYS: '80' }
  expect(dependenciesOf(days).cleanUp).toEqual({ sessionDays: 45, webhookBodyDays: 80, overdueMs: DAY })
  expect(dependenciesOf({ SESSION_CLEANUP_EVERY_MINUTES: '1440' }).cleanUp.overdueMs).toBe(2 * DAY)
})
