// A run of clean-up on a worker: which limits it gets, that it stops, and that its alarm is checked again after an outage.
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { watchCleanUps } from '../../activities/clean-up-alarm.ts'
import { CLEAN_UP_KINDS } from '../../contracts/maintenance.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { eventually } from '../support/eventually.ts'

const DAY = 24 * 3600_000

let bench: Workbench
beforeEach(async () => {
  bench = await openWorkbench() // keeps bodies of webhooks for 90 days, and sessions for 30
})
afterEach(() => bench?.close())

test('When a body of a webhook is older than a session may be, then it stays for its own time', async () => {
  await bench.owner.$executeRaw`
    INSERT INTO webhook_events (source, route, identity, call_sid, raw_body, relay_state, received_at)
    SELECT 'exotel', 'call-end', days::text, 'c', 'x', 'started', now() - make_interval(days => days) FROM unnest(ARRAY[60, 91]) AS days`
  expect(await bench.run('cleanUp', 'webhookBodies')).toBe(1)
  const { identity } = await bench.owner.webhookEvent.findFirstOrThrow({ where: { rawBody: { not: null } } })
  expect(identity).toBe('60')
})

test('When no session can have been signed with a key any more, then the key is deleted, and not before', async () => {
  await bench.owner.$executeRaw`
    INSERT INTO signing_keys (kid, secret, created_at)
    SELECT 'of day ' || days, decode(repeat('ab', 32), 'hex'), now() - make_interval(days => days) FROM unnest(ARRAY[100, 60, 20, 0]) AS days`
  expect(await bench.run('cleanUp', 'signingKeys')).toBe(1) // the key of day 100: its successor is older than any session
  const kids = (await bench.owner.signingKey.findMany({ orderBy: { createdAt: 'asc' } })).map(({ kid }) => kid)
  expect(kids).toEqual(['of day 60', 'of day 20', 'of day 0'])
})

test('When the worker shuts down, then clean-up stops before its next batch', async () => {
  await bench.owner.$executeRaw`INSERT INTO rate_limits SELECT 'k' || i, 1, 0 FROM generate_series(1, 10) AS i`
  const environment = bench.environment()
  environment.cancel('WORKER_SHUTDOWN')
  await expect(environment.run(bench.activities.cleanUp, 'rateLimits' as const)).rejects.toMatchObject({ type: 'WorkerShutdown' })
  expect(await bench.owner.rateLimit.count()).toBe(10)
})

test('When PostgreSQL fails while the alarm of clean-up is checked, then it is checked again, and the watch ends with the worker', async () => {
  const lines: string[] = []
  const logger = pino({ level: 'warn' }, { write: (line) => void lines.push(line) })
  await bench.owner.$executeRaw`ALTER TABLE clean_ups RENAME TO away`
  const stop = new AbortController()
  const cleanUp = { webhookBodyDays: 90, sessionDays: 30, overdueMs: DAY }
  const watching = watchCleanUps({ database: bench.database, alarms: bench.alarms, cleanUp, waitScale: 0, logger }, stop.signal)
  await eventually('the warning', async () => lines.length > 0, 5000)
  await bench.owner.$executeRaw`ALTER TABLE away RENAME TO clean_ups`
  await eventually('the kinds to be known', async () => (await bench.owner.cleanUp.count()) === CLEAN_UP_KINDS.length, 5000)
  await bench.owner.$executeRaw`UPDATE clean_ups SET known_since = now() - interval '25 hours'`
  await eventually('the alarm', async () => bench.alarms.active().some(({ name }) => name === 'CleanUpOverdue'), 5000)
  stop.abort()
  expect(await watching).toBeUndefined()
})
