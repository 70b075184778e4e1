// The feed of changed calls, on a real database. The settings are shorter, nothing else differs.
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { pino } from 'pino'
import { createChangeFeed, type ChangeFeed, type Changes } from '../../api/change-feed.ts'
import { currentPosition } from '../../calls/call-changes.ts'
import { concludeRecording } from '../../calls/conclude-recording.ts'
import type { Database } from '../../platform/database.ts'
import { RECOVERY } from '../support/activities.ts'
import { eventually } from '../support/eventually.ts'
import { recordWebhook } from '../support/record-webhook.ts'
import { newCallSid, openDatabase, type OpenDatabase } from '../support/servers.ts'

const SETTINGS = { pollMs: 20, overlapMs: 60_000, most: 20 }
const logger = pino({ level: 'silent' })

let opened: OpenDatabase
let database: Database
beforeAll(async () => {
  opened = await openDatabase()
  database = opened.database
})
afterAll(() => opened?.close())

let feed: ChangeFeed | undefined
afterEach(() => feed?.stop())

/** Subscribes, and waits until changes of other processes are told. */
async function listening(settings = SETTINGS, on: Database = database) {
  feed = createChangeFeed(on, logger, settings)
  const told: (Changes | 'stopped')[] = []
  const end = feed.subscribe((changes) => told.push(changes))
  const callSids = () => told.flatMap((changes) => (changes === 'stopped' ? [] : (changes.callSids ?? [])))
  await eventually('the first change', async () => {
    await recordWebhook(database, 'call-start', { CallSid: newCallSid() })
    return told.length > 0
  })
  return { told, callSids, end, isTold: (callSid: string) => eventually('the change', async () => callSids().includes(callSid)) }
}

test('When an event of a call is recorded, and when its recording is concluded, then listeners are told once for each', async () => {
  const { callSids, isTold } = await listening()
  const callSid = newCallSid()
  await recordWebhook(database, 'call-end', { CallSid: callSid })
  await isTold(callSid)
  const outcome = { state: 'failed', code: 'RecordingExpired', error: 'gone' } as const
  await concludeRecording(database, { callSid, outcome }, { attempt: callSid, plan: RECOVERY })
  await eventually('the conclusion', async () => callSids().filter((each) => each === callSid).length === 2)
  const last = newCallSid()
  await recordWebhook(database, 'call-end', { CallSid: last })
  await isTold(last)
  expect(callSids().filter((each) => each === callSid)).toHaveLength(2)
})

test('When a row is committed after one with a greater id, then listeners are told about both', async () => {
  const { isTold } = await listening()
  const [slow, fast] = [newCallSid(), newCallSid()]
  await database.$transaction(async (transaction) => {
    await recordWebhook(transaction, 'call-end', { CallSid: slow })
    await recordWebhook(database, 'call-end', { CallSid: fast })
    await isTold(fast)
  })
  await isTold(slow)
})

test('When a listener continues after an earlier position, then it is told what happened since', async () => {
  const before = await currentPosition(database)
  const missed = newCallSid()
  await recordWebhook(database, 'call-end', { CallSid: missed })
  const told: (Changes | 'stopped')[] = []
  feed = createChangeFeed(database, logger, SETTINGS)
  feed.subscribe((changes) => told.push(changes), before)
  await eventually('what was missed', async () => told.length > 0)
  expect(told[0]).toEqual({ callSids: [missed], position: before })
})

test('When there are more changes than can be named, then listeners are told to read everything again', async () => {
  const before = await currentPosition(database)
  for (let count = 0; count <= SETTINGS.most; count += 1) await recordWebhook(database, 'call-end', { CallSid: newCallSid() })
  const told: (Changes | 'stopped')[] = []
  feed = createChangeFeed(database, logger, SETTINGS)
  feed.subscribe((changes) => told.push(changes), before)
  await eventually('the changes', async () => told.length > 0)
  expect(told[0]).toEqual({ callSids: undefined, position: before })
})

test('When the last listener has left, then the feed sends no more queries; when one comes back, then it is told again', async () => {
  let queries = 0
  const counting = new Proxy(database, {
    get: (target, name) => {
      if (name === '$queryRaw') queries += 1
      return target[name as keyof Database]
    },
  })
  const { end, told } = await listening(SETTINGS, counting)
  end()
  const monitor = new pg.Client({ connectionString: opened.url })
  await monitor.connect()
  let last = -1
  await eventually('the queries to end', async () => {
    const isSame = queries === last
    last = queries
    await monitor.query('SELECT pg_sleep(0.2)') // ten polls
    return isSame
  })
  await monitor.end()
  const count = told.length
  feed!.subscribe((changes) => told.push(changes))
  await eventually('a change', async () => {
    await recordWebhook(database, 'call-start', { CallSid: newCallSid() })
    return told.length > count
  })
})

test('When the process stops, then each listener is told so, also one that comes later', async () => {
  const { told } = await listening()
  feed!.stop()
  expect(told.at(-1)).toBe('stopped')
  const late: unknown[] = []
  feed!.subscribe((changes) => late.push(changes))
  await eventually('the message', async () => late.length > 0)
  expect(late).toEqual(['stopped'])
})
