// The row of a call after events in any order, and the facts that other parts read from it.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import type { CallSid } from '../../contracts/call-sid.ts'
import { advanceStatus, fixRecordingDate, linksOf, nameRecording } from '../../calls/recording-facts.ts'
import type { WebhookRoute } from '../../exotel/call-event.ts'
import { readMigrations } from '../../platform/migrations.ts'
import { assertMigrated, connectDatabase, Prisma, type Database } from '../../platform/database.ts'
import { recordWebhook } from '../support/record-webhook.ts'
import { openDatabase, newCallSid } from '../support/servers.ts'

let database: Database
let close: () => Promise<void>
let owner: Database
let databaseUrl: string
beforeAll(async () => {
  ;({ database, owner, close, url: databaseUrl } = await openDatabase(10))
})
afterAll(async () => {
  await close?.()
})

type Fields = Record<string, string>
const LINK = 'https://recordings.exotel.com/a/1.mp3'
const record = (route: WebhookRoute, fields: Fields) => recordWebhook(database, route, fields)
const callOf = (callSid: CallSid) => database.call.findUniqueOrThrow({ where: { callSid } })

describe('When the events of a call arrive in any order, once or twice, then its row is the same:', () => {
  const events: [WebhookRoute, Fields][] = [
    [
      'call-start',
      { Status: 'in-progress', StartTime: '2026-11-25 10:00:00', From: '09876543210', CustomField: 'b', Direction: 'incoming' },
    ],
    [
      'call-end',
      { Status: 'completed', EndTime: '2026-11-25 10:05:00', ConversationDuration: '290', From: '+919876543210', CustomField: 'c' },
    ],
    ['recording', { RecordingUrl: LINK, ConversationDuration: '288', To: '08045678901', CustomField: 'a', AccountSid: 'x' }],
    ['call-end', { Status: 'no-answer', DateUpdated: '2026-11-25 10:06:00', To: '8045678901', Direction: 'inbound', AccountSid: 'X' }],
  ]
  const orders = permutations([0, 1, 2, 3])

  test(`all ${orders.length} orders`, async () => {
    const rows = await Promise.all(
      orders.map(async (order) => {
        const callSid = newCallSid()
        for (const index of [...order, order[0]!]) await record(events[index]![0], { CallSid: callSid, ...events[index]![1] })
        const { callSid: _, createdAt: __, updatedAt: ___, recordingStateSince: ____, ...row } = await callOf(callSid)
        return row
      }),
    )
    expect(rows[0]).toMatchObject({ status: 'completed', durationSeconds: 290, recordingState: 'awaiting' })
    const texts = { fromNumber: '+919876543210', toNumber: '08045678901', customField: 'a', direction: 'inbound', accountSid: 'X' }
    expect(rows[0]).toMatchObject(texts)
    expect(rows[0]!.endedAt).toEqual(new Date('2026-11-25T04:36:00Z'))
    for (const row of rows) expect(row).toEqual(rows[0])
  })

  test('at the same time', async () => {
    const callSid = newCallSid()
    await Promise.all(
      Array.from({ length: 5 }, () => events.map(([route, fields]) => record(route, { CallSid: callSid, ...fields }))).flat(),
    )
    expect(await callOf(callSid)).toMatchObject({ status: 'completed', durationSeconds: 290 })
    expect(await database.webhookEvent.count({ where: { callSid } })).toBe(4)
  })
})

test('When events contain several ends of a call, then the last one counts, unless it is in the future', async () => {
  const callSid = newCallSid()
  await record('call-end', { CallSid: callSid, Status: 'busy', EndTime: '2026-11-25 10:00:00' })
  await record('call-end', { CallSid: callSid, Status: 'completed', EndTime: '2026-11-25 12:00:00' })
  await record('call-end', { CallSid: callSid, Status: 'completed', EndTime: '2042-01-01 00:00:00' })
  expect((await callOf(callSid)).endedAt).toEqual(new Date('2026-11-25T06:30:00Z'))
})

test('When events contain several starts of a call, then the first one counts', async () => {
  const callSid = newCallSid()
  for (const minute of ['05', '00', '10']) await record('call-start', { CallSid: callSid, StartTime: `2026-11-25 10:${minute}:00` })
  expect((await callOf(callSid)).startedAt).toEqual(new Date('2026-11-25T04:30:00Z'))
})

test('When Call Details of an erased call contain a status, then its row does not change', async () => {
  const callSid = newCallSid()
  await owner.call.create({ data: { callSid, recordingState: 'erased' } })
  await advanceStatus(database, callSid, 'completed')
  expect((await callOf(callSid)).status).toBeNull()
})

test('When the date of an object is read for the first time, then it is fixed: the day of the call’s end in UTC, or of the arrival', async () => {
  const today = (): string => new Date().toISOString().slice(0, 10)
  const before = today()
  const [ended, absurd, ancient, unknown] = [newCallSid(), newCallSid(), newCallSid(), newCallSid()]
  await record('call-end', { CallSid: ended, EndTime: '2026-11-01 04:00:00' })
  await record('call-end', { CallSid: ancient, EndTime: '2020-01-01 00:00:00' })
  await record('call-end', { CallSid: absurd })
  await database.call.update({ where: { callSid: absurd }, data: { endedAt: new Date('2042-01-01T00:00:00Z') } })
  expect(await fixRecordingDate(database, ended)).toBe('2026-10-31')
  for (const callSid of [absurd, ancient, unknown]) expect([before, today()]).toContain(await fixRecordingDate(database, callSid)) // midnight may pass
  await database.call.update({ where: { callSid: ended }, data: { endedAt: new Date('2026-09-01T00:00:00Z') } })
  expect(await fixRecordingDate(database, ended)).toBe('2026-10-31')
})

test('When links are read, then the link to request first is the first one, and a pre-signed link is marked', async () => {
  const callSid = newCallSid()
  expect(await linksOf(database, callSid, LINK)).toEqual([{ url: LINK, kind: 'named' }])
  await nameRecording(database, callSid, { sourceUrl: LINK, fetchUrl: `${LINK}?x=1` })
  expect(await linksOf(database, callSid, LINK)).toEqual([
    { url: `${LINK}?x=1`, kind: 'named' },
    { url: LINK, kind: 'named' },
  ])
  await nameRecording(database, callSid, { sourceUrl: LINK, fetchUrl: 'https://s3.test/y?Signature=1' })
  await nameRecording(database, callSid, { sourceUrl: LINK })
  expect((await linksOf(database, callSid, LINK))![0]).toEqual({ url: 'https://s3.test/y?Signature=1', kind: 'presigned' })
})

test('When a webhook names a known recording with another query, then the newer link is used, and a later one without a query does not replace it', async () => {
  const callSid = newCallSid()
  for (const query of ['?token=old', '?token=new', '']) await record('recording', { CallSid: callSid, RecordingUrl: LINK + query })
  expect((await linksOf(database, callSid, LINK))!.map(({ url }) => url)).toEqual([`${LINK}?token=new`, LINK])
})

test('When the server has another time zone, then times are still the same instants', async () => {
  const [{ name }] = (await database.$queryRaw`SELECT current_database() AS name`) as [{ name: string }]
  await owner.$executeRawUnsafe(`ALTER DATABASE ${name} SET timezone = 'Asia/Kolkata'`)
  const elsewhere = connectDatabase({ url: databaseUrl, poolSize: 1, logger: pino({ level: 'silent' }) })
  try {
    const callSid = newCallSid()
    await elsewhere.call.create({ data: { callSid, endedAt: new Date('2026-11-26T00:00:00Z') } })
    const [row] = await elsewhere.$queryRaw<{ text: string; now: Date }[]>`
      SELECT to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS text, now() FROM calls WHERE call_sid = ${callSid}`
    expect(row!.text).toBe('2026-11-26 00:00')
    expect(Math.abs(row!.now.getTime() - Date.now())).toBeLessThan(60_000)
    await assertMigrated(elsewhere, readMigrations())
  } finally {
    await elsewhere.$disconnect()
  }
})

test('When a query of the application runs, then it uses its index', async () => {
  const plan = async (sql: string) => {
    const rows = await database.$transaction(async (transaction) => {
      await transaction.$executeRaw`SET LOCAL enable_seqscan = off`
      return transaction.$queryRaw<{ 'QUERY PLAN': string }[]>(Prisma.raw(`EXPLAIN ${sql}`))
    })
    return rows.map((row) => row['QUERY PLAN']).join('\n')
  }
  const dueEvents = (lane: string) =>
    plan(
      `SELECT id FROM webhook_events WHERE relay_state = 'pending' AND ${lane} AND next_relay_at <= now() ORDER BY next_relay_at, id LIMIT 20`,
    )
  expect(await dueEvents('relay_waits = 0')).toContain('webhook_events_relay_new_idx')
  expect(await dueEvents('relay_waits > 0')).toContain('webhook_events_relay_waiting_idx')
  expect(await plan(`SELECT 1 FROM recordings WHERE call_sid = 'a' AND source_url = 'b'`)).toContain('recordings_call_sid_source_url_key')
  const due = `SELECT call_sid FROM recordings WHERE state IN ('failed', 'quarantined') AND next_try_at <= now()`
  expect(await plan(due)).toContain('recordings_due_idx')
  expect(await plan(`SELECT 1 FROM recordings WHERE object_key = 'a'`)).toContain('recordings_object_key_idx')
  expect(await plan(`SELECT 1 FROM recording_attempts WHERE object_key = 'a'`)).toContain('recording_attempts_object_key_idx')
  expect(await plan(`SELECT 1 FROM webhook_events WHERE call_sid = 'a' ORDER BY id`)).toContain('webhook_events_call_sid_id_idx')
  expect(await plan(`SELECT max(recording_state_since) FROM calls WHERE recording_state = 'stored'`)).toContain('calls_recording_state_idx')
})

function permutations<T>(items: T[]): T[][] {
  if (items.length <= 1) return [items]
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]))
}
