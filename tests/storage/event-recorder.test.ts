// Events of concurrent webhooks are recorded together, and none of them delays or fails another one.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { pino } from 'pino'
import { BATCHES_AT_ONCE, createEventRecorder } from '../../calls/event-recorder.ts'
import { recordEvents, type ReadDelivery } from '../../calls/record-event.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
import { deliveryIdentity, readCallEvent, type WebhookRoute } from '../../exotel/call-event.ts'
import { openBatchPool, type Queryable } from '../../platform/database.ts'
import { eventually } from '../support/eventually.ts'
import { untilBlocked } from '../support/locks.ts'
import { newCallSid, openDatabase, type OpenDatabase } from '../support/servers.ts'

const logger = pino({ level: 'silent' })
let opened: OpenDatabase
let batchPool: ReturnType<typeof openBatchPool>
let locks: pg.Client
beforeAll(async () => {
  opened = await openDatabase()
  batchPool = openBatchPool({ url: opened.url, poolSize: BATCHES_AT_ONCE, logger })
  locks = new pg.Client({ connectionString: opened.url })
  await locks.connect()
})
afterAll(async () => {
  await locks?.end()
  await batchPool?.end()
  await opened?.close()
})

/** @returns the same connection, and how many statements it ran */
function counted(connection: Queryable, before = async () => {}): Queryable & { statements: number } {
  const counting = {
    statements: 0,
    $executeRaw: connection.$executeRaw,
    async $queryRaw<Rows>(...sql: Parameters<Queryable['$queryRaw']>): Promise<Rows> {
      counting.statements += 1
      await before()
      return connection.$queryRaw<Rows>(...sql)
    },
  }
  return counting
}

function recorder(beforeBatch?: () => Promise<void>) {
  const batches = counted(batchPool, beforeBatch)
  const single = counted(opened.database)
  return { batches, single, events: createEventRecorder({ batches, single }, logger) }
}

function delivery(route: WebhookRoute, fields: Record<string, string>, rawBody = Buffer.from(JSON.stringify(fields))): ReadDelivery {
  const identity = deliveryIdentity(route, fields)
  const request = { contentType: 'application/json', requestId: `request of ${fields.CallSid}` }
  return { source: 'exotel', route, identity, rawBody, ...request, event: readCallEvent(fields, route), fields }
}

const ended = (callSid: CallSid, more: Record<string, string> = {}) =>
  delivery('call-end', { CallSid: callSid, Status: 'completed', ...more })
const rowOf = (callSid: CallSid) => opened.database.call.findUniqueOrThrow({ where: { callSid }, include: { recordings: true } })

/** Locks the rows of these calls until `release` is called. */
async function lockCalls(...callSids: CallSid[]): Promise<{ release: () => Promise<unknown> }> {
  await locks.query('BEGIN')
  await locks.query('SELECT 1 FROM calls WHERE call_sid = ANY ($1) FOR UPDATE', [callSids])
  return { release: () => locks.query('COMMIT') }
}

test('When many events arrive at once, then they share a few statements, and each row has the values of its own event', async () => {
  const { events, batches, single } = recorder()
  const callSids = Array.from({ length: 40 }, newCallSid)
  const recorded = await Promise.all(
    callSids.map((callSid, number) =>
      events.record(
        ended(callSid, {
          From: `0900000000${number}`,
          CustomField: number % 2 === 0 ? '' : `{"order": "${number}, \\"x\\""}`,
          RecordingUrl: number % 3 === 0 ? 'null' : `https://recordings.exotel.com/a/${callSid}.mp3`,
        }),
      ),
    ),
  )
  expect(recorded).toEqual(callSids.map(() => ({ duplicate: false, pending: true })))
  expect(batches.statements).toBe(BATCHES_AT_ONCE + 1)
  expect(single.statements).toBe(0)
  for (const [number, callSid] of callSids.entries()) {
    const call = await rowOf(callSid)
    expect(call).toMatchObject({
      status: 'completed',
      fromNumber: `0900000000${number}`,
      customField: number % 2 === 0 ? null : `{"order": "${number}, \\"x\\""}`,
      recordingState: 'awaiting',
    })
    const sourceUrls = number % 3 === 0 ? [] : [`https://recordings.exotel.com/a/${callSid}.mp3`]
    expect(call.recordings.map(({ sourceUrl }) => sourceUrl)).toEqual(sourceUrls)
    const [event] = await opened.database.webhookEvent.findMany({ where: { callSid } })
    expect(event).toMatchObject({ requestId: `request of ${callSid}`, sourceUrls, relayState: 'pending', problem: null })
    expect(JSON.parse(Buffer.from(event!.rawBody!).toString())).toEqual(event!.fields)
  }
})

test('When two events of one call arrive at once, then both are recorded', async () => {
  const { events, batches } = recorder()
  const others = Array.from({ length: BATCHES_AT_ONCE }, () => events.record(ended(newCallSid())))
  const callSid = newCallSid()
  const started = delivery('call-start', { CallSid: callSid, Status: 'in-progress', Direction: 'inbound' })
  const recorded = await Promise.all([started, ended(callSid), ended(callSid)].map((each) => events.record(each)))
  await Promise.all(others)
  expect(recorded).toEqual([
    { duplicate: false, pending: false },
    { duplicate: false, pending: true },
    { duplicate: true, pending: true },
  ])
  expect(await rowOf(callSid)).toMatchObject({ status: 'completed', direction: 'inbound', recordingState: 'awaiting' })
  expect(batches.statements).toBeGreaterThanOrEqual(BATCHES_AT_ONCE + 3)
})

test('When the row of one call is locked, then the events of other calls are recorded meanwhile', async () => {
  const { events, batches } = recorder()
  const lockedCall = newCallSid()
  await events.record(ended(lockedCall))
  const lock = await lockCalls(lockedCall)
  let isRecorded = false
  const first = Array.from({ length: BATCHES_AT_ONCE }, () => events.record(ended(newCallSid())))
  const waits = events.record(ended(lockedCall, { CustomField: 'later' })).then(() => (isRecorded = true))
  const others = await Promise.all([...first, ...Array.from({ length: 5 }, () => events.record(ended(newCallSid())))])
  expect(others.every(({ duplicate }) => !duplicate)).toBe(true)
  expect(isRecorded).toBe(false)
  await lock.release()
  await waits
  expect(await rowOf(lockedCall)).toMatchObject({ customField: 'later' })
  expect(batches.statements).toBe(1 + BATCHES_AT_ONCE + 1)
})

test('When PostgreSQL refuses one event, then the events that arrived with it are recorded', async () => {
  const { events } = recorder()
  const first = Array.from({ length: BATCHES_AT_ONCE }, () => events.record(ended(newCallSid())))
  const refused = ended(newCallSid())
  const bad = events.record({ ...refused, contentType: 'text/\u0000' })
  const good = Array.from({ length: 3 }, () => events.record(ended(newCallSid())))
  await expect(bad).rejects.toThrow('invalid byte sequence')
  expect(await Promise.all([...first, ...good])).toEqual([...first, ...good].map(() => ({ duplicate: false, pending: true })))
})

test('When events have waited for 250 ms, then they are recorded by themselves', async () => {
  let open = (): void => {}
  const gate = new Promise<void>((resolve) => (open = resolve))
  const { events, single } = recorder(() => gate)
  const first = Array.from({ length: BATCHES_AT_ONCE }, () => events.record(ended(newCallSid())))
  const atMs = performance.now()
  const late = [events.record(ended(newCallSid())), events.record(ended(newCallSid()))]
  await eventually('300 ms to pass', async () => performance.now() > atMs + 300)
  expect(single.statements).toBe(0)
  open()
  await Promise.all([...first, ...late])
  expect(single.statements).toBe(2)
})

test('When an event is large, then it is recorded by itself', async () => {
  const { events, batches, single } = recorder()
  const callSid = newCallSid()
  const rawBody = Buffer.alloc(64 * 1024 + 1, 'x')
  await events.record({ ...ended(callSid), rawBody })
  expect([batches.statements, single.statements]).toEqual([0, 1])
  expect((await opened.database.webhookEvent.findFirstOrThrow({ where: { callSid } })).rawBody).toHaveLength(rawBody.length)
})

test('When some of the events were recorded before, then only these are duplicates', async () => {
  const { database } = opened
  const [known, ...others] = [newCallSid(), newCallSid(), newCallSid()].map((callSid) => ended(callSid))
  await recordEvents(database, [known!])
  const recorded = await recordEvents(database, [others[0]!, known!, others[1]!])
  expect(recorded.map(({ duplicate }) => duplicate)).toEqual([false, true, false])
})

test('When two statements record the same calls in opposite orders, then neither ends in a deadlock', async () => {
  const { database } = opened
  const [first, middle, last] = [newCallSid(), newCallSid(), newCallSid()].toSorted() as [CallSid, CallSid, CallSid]
  const at = (day: number) => ({ StartTime: `2026-11-0${day} 10:00:00` })
  await recordEvents(database, [ended(first), ended(middle), ended(last)])
  const lock = await lockCalls(middle)
  // The order of the start times is the order of the CallSids in the first statement, and the opposite in the second.
  const statements = [
    recordEvents(database, [ended(first, at(1)), ended(middle, at(2)), ended(last, at(3))]),
    recordEvents(database, [ended(last, at(1)), ended(middle, at(4)), ended(first, at(5))]),
  ]
  await untilBlocked(database, statements)
  await lock.release()
  expect((await Promise.all(statements)).flat().every(({ duplicate }) => !duplicate)).toBe(true)
})
