// Portions of a bulk retry, on a real database.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { countRetryable, endBulkRetry, insertBulkRetry, listBulkRetries, retryNextCalls } from '../../calls/bulk-retries.ts'
import type { CallFilters } from '../../calls/list-calls.ts'
import { openDatabase, type OpenDatabase } from '../support/servers.ts'

let opened: OpenDatabase
beforeAll(async () => {
  opened = await openDatabase()
})
afterAll(() => opened?.close())
beforeEach(async () => {
  await opened.owner.$executeRaw`TRUNCATE calls, recordings, webhook_events, bulk_retries CASCADE`
})

const { signal } = new AbortController()

async function insertCalls(prefix: string, count: number, state: string): Promise<void> {
  await opened.owner.$executeRaw`
    INSERT INTO calls (call_sid, status, custom_field, started_at, recording_state, recording_error, recording_error_code)
    SELECT ${prefix}::text || n, 'completed', ${prefix}, now() - make_interval(mins => n), ${state}::text,
           CASE WHEN ${state}::text = 'failed' THEN 'none' END, CASE WHEN ${state}::text = 'failed' THEN 'RecordingMissing' END
    FROM generate_series(1, ${count}::int) AS n`
}

async function startRetry(filters: CallFilters): Promise<string> {
  const person = { reason: 'r', userId: randomUUID(), userEmail: 'a@example.com' }
  return (await insertBulkRetry(opened.database, { filters, ...person, matches: 1 }))!.id
}

const started = async () =>
  (await opened.database.$queryRaw<{ callSid: string }[]>`SELECT call_sid AS "callSid" FROM webhook_events ORDER BY id`).map(
    ({ callSid }) => callSid,
  )

test('When a portion is handled, then exactly the next failed calls that match its filters are started, the newest first', async () => {
  await insertCalls('a', 30, 'failed')
  await insertCalls('b', 3, 'failed')
  await insertCalls('c', 3, 'none')
  expect(await countRetryable(opened.database, {})).toBe(33)
  const id = await startRetry({ customField: 'a' })
  expect(await retryNextCalls(opened.database, id, signal)).toBe(true)
  expect(await started()).toEqual(Array.from({ length: 25 }, (_, index) => `a${index + 1}`))
  expect(await retryNextCalls(opened.database, id, signal)).toBe(false)
  expect(await started()).toHaveLength(30)
  expect(await listBulkRetries(opened.database)).toMatchObject([{ id, retried: 30, skipped: 0, state: 'running' }])
})

test('When filters have times, then they hold for the portions, too', async () => {
  await insertCalls('t', 10, 'failed')
  const id = await startRetry({ from: new Date(Date.now() - 5.5 * 60_000), to: new Date(Date.now() - 2.5 * 60_000) })
  await retryNextCalls(opened.database, id, signal)
  expect(await started()).toEqual(['t3', 't4', 't5'])
})

test('When a portion is handled again because the process died, then no call is started twice', async () => {
  await insertCalls('d', 3, 'failed')
  const id = await startRetry({})
  await retryNextCalls(opened.database, id, signal)
  await opened.owner.$executeRaw`UPDATE bulk_retries SET after_time = NULL, after_call_sid = NULL`
  await retryNextCalls(opened.database, id, signal)
  expect(await started()).toHaveLength(3)
  expect(await listBulkRetries(opened.database)).toMatchObject([{ retried: 3, skipped: 3 }])
})

test('When a bulk retry has ended, then no portion of it is handled, and it does not end twice', async () => {
  await insertCalls('e', 3, 'failed')
  const id = await startRetry({})
  expect(await endBulkRetry(opened.database, id, 'cancelled')).toMatchObject({ state: 'cancelled', finishedAt: expect.any(Date) })
  expect(await retryNextCalls(opened.database, id, signal)).toBe(false)
  expect(await started()).toEqual([])
  expect(await endBulkRetry(opened.database, id, 'done')).toMatchObject({ state: 'cancelled' })
})

test('When one is running, then no other one is inserted', async () => {
  const id = await startRetry({})
  const person = { reason: 'r', userId: randomUUID(), userEmail: 'a@example.com' }
  expect(await insertBulkRetry(opened.database, { filters: {}, ...person, matches: 1 })).toBeUndefined()
  await endBulkRetry(opened.database, id, 'done')
  expect(await insertBulkRetry(opened.database, { filters: {}, ...person, matches: 1 })).toMatchObject({ state: 'running' })
})
