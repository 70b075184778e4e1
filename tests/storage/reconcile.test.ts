// Ingests pages of Exotel's list of calls, also pages with unusual or invalid entries.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { startReconcilePass, finishReconcilePass, insertPass } from '../../calls/reconcile.ts'
import { formatExotelTime } from '../../exotel/time.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { startScriptedServer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const HOUR = 3600_000
const WINDOW = { from: '2026-10-31T18:30:00.000Z', to: '2026-11-01T18:30:00.000Z' }

let exotel: ScriptedServer
let bench: Workbench
let passId: string
beforeAll(async () => {
  exotel = await startScriptedServer()
  bench = await openWorkbench({ apiBaseUrl: exotel.url })
})
afterAll(async () => {
  await bench?.close()
  await exotel?.close()
})
beforeEach(async () => {
  ;({ passId } = await bench.run('startReconcilePass', { kind: 'backfill', ...WINDOW }))
})

const answer = (Calls: unknown[], Metadata: unknown = { Total: Calls.length, NextPageUri: null }) =>
  exotel.script((_request, response) =>
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ ...(Metadata !== undefined && { Metadata }), Calls })),
  )
const read = (after?: string) => bench.run('readListPage', { passId, source: 'reconcile', ...WINDOW, ...(after && { after }) })
const linkOf = (callSid: string) => `https://recordings.exotel.com/acme/${callSid}.mp3`
const listed = (Sid: string, more: object = {}) => ({
  Sid,
  Status: 'completed',
  Direction: 'inbound',
  From: '09876543210',
  To: '+918045678901',
  StartTime: '2026-11-01 04:00:00',
  EndTime: '2026-11-01 07:59:00',
  Duration: 14_340,
  RecordingUrl: linkOf(Sid),
  ...more,
})
const eventsOf = (callSid: string) => bench.database.webhookEvent.findMany({ where: { callSid } })
const passOf = () => bench.database.reconcilePass.findUniqueOrThrow({ where: { id: BigInt(passId) } })

test('When Exotel lists an unknown call, then the call gets a row and one event', async () => {
  const callSid = newCallSid()
  answer([listed(callSid)])
  expect(await read()).toEqual({ calls: 1, unusable: 0, callsNew: 1, recordingsNew: 1, total: 1, isPagingKnown: true })
  expect(await bench.database.call.findUniqueOrThrow({ where: { callSid } })).toMatchObject({
    status: 'completed',
    recordingState: 'awaiting',
    durationSeconds: 14_340,
    endedAt: new Date('2026-11-01T02:29:00Z'),
  })
  expect(await eventsOf(callSid)).toMatchObject([{ source: 'reconcile', relayState: 'pending', sourceUrls: [linkOf(callSid)] }])
  expect(await read()).toMatchObject({ callsNew: 0, recordingsNew: 0 })
  expect(await eventsOf(callSid)).toHaveLength(1)
})

test('When only the link is new, or only the end, then only this is ingested', async () => {
  const [known, ended, linkless] = [newCallSid(), newCallSid(), newCallSid()]
  await bench.database.call.create({ data: { callSid: known, recordingState: 'not_recorded' } })
  await bench.database.call.create({ data: { callSid: ended, recordingState: 'none' } })
  await bench.database.call.create({ data: { callSid: linkless, recordingState: 'not_recorded' } })
  answer([listed(known), listed(ended, { RecordingUrl: null, Status: 'busy' }), listed(linkless, { RecordingUrl: '' })])
  expect(await read()).toMatchObject({ calls: 3, callsNew: 1, recordingsNew: 1 })
  expect(await eventsOf(known)).toMatchObject([{ sourceUrls: [linkOf(known)] }])
  expect(await eventsOf(ended)).toMatchObject([{ sourceUrls: [] }])
  expect(await eventsOf(linkless)).toEqual([])
})

test('When an erased call is listed, then it stays erased, and its numbers are not stored', async () => {
  const callSid = newCallSid()
  await bench.database.call.create({ data: { callSid, recordingState: 'erased' } })
  answer([listed(callSid)])
  expect(await read()).toMatchObject({ callsNew: 0, recordingsNew: 0 })
  expect(await bench.database.call.findUniqueOrThrow({ where: { callSid } })).toMatchObject({ recordingState: 'erased', fromNumber: null })
  expect(await eventsOf(callSid)).toEqual([])
})

test('When entries are invalid, then only those without a usable Sid are skipped', async () => {
  const odd = newCallSid()
  const others = [
    { Status: 'completed' },
    { Sid: '../x' },
    null,
    'text',
    listed(odd, { Duration: {}, From: 7, StartTime: 'soon', Status: 'new-word' }),
  ]
  answer(others)
  expect(await read()).toMatchObject({ calls: 1, unusable: 4, callsNew: 1 })
  expect(await eventsOf(odd)).toHaveLength(1)
})

test('When pages are requested, then the window is in India’s time, and the cursor is that of the link', async () => {
  answer([], { NextPageUri: '/v1/Accounts/acme/Calls.json?PageSize=100&After=abc%3D', Total: '7' })
  expect(await read('zzz')).toEqual({ calls: 0, unusable: 0, callsNew: 0, recordingsNew: 0, next: 'abc=', total: 7, isPagingKnown: true })
  const query = new URL(exotel.requests[0]!.url, exotel.url).searchParams
  expect(query.get('DateCreated')).toBe('gte:2026-11-01 00:00:00;lte:2026-11-02 00:00:00')
  expect(query.get('After')).toBe('zzz')
  for (const silent of [null, { NextPageUri: '/v1/Accounts/acme/Calls.json?Page=2' }]) {
    answer([], silent)
    expect(await read()).toMatchObject({ isPagingKnown: false })
  }
  const full = Array.from({ length: 100 }, () => listed(newCallSid(), { From: 'a\0b', Duration: 1e12 }))
  answer(full, {})
  expect(await read()).toMatchObject({ calls: 100, callsNew: 100, isPagingKnown: false })
  answer(full.slice(1), {})
  expect(await read()).toMatchObject({ calls: 99, isPagingKnown: true })
})

describe('When Exotel does not return a page, then the pass waits, and its row contains the reason:', () => {
  test.each([
    [401, 'ExotelCredentialsRefused', ['ExotelCredentialsRefused']],
    [429, 'ExotelRateLimited', []],
    [503, 'ExotelUnavailable', []],
  ] as const)('%s', async (status, type, alarms) => {
    exotel.script((_request, response) => response.writeHead(status, { 'retry-after': '7' }).end())
    const failure = { type, category: 'BENIGN', ...(status === 429 && { nextRetryDelay: 7000 }) }
    await expect(read()).rejects.toEqual(expect.objectContaining(failure))
    expect((await passOf()).problem).toContain(`${status}`)
    expect(bench.alarms.active().map(({ name }) => name)).toEqual(alarms)
    answer([])
    await read()
    expect((await passOf()).problem).toBeNull()
    expect(bench.alarms.active()).toEqual([])
  })
})

test('When a pass ends with a gap, then the next one starts five hours before the end of the last complete one', async () => {
  const outcome = { pages: 1, callsSeen: 0, callsNew: 0, recordingsNew: 0 }
  const first = await startReconcilePass(bench.database, 'regular', 'run/1')
  expect(await startReconcilePass(bench.database, 'regular', 'run/1')).toEqual(first) // a repeated call returns the same pass
  await finishReconcilePass(bench.database, { passId: first.passId, ...outcome })
  const second = await startReconcilePass(bench.database, 'regular', 'run/2')
  expect(second.from).toEqual(new Date(first.to.getTime() - 5 * HOUR))
  await finishReconcilePass(bench.database, { passId: second.passId, ...outcome, problem: 'a gap' })
  const third = await startReconcilePass(bench.database, 'regular', 'run/3')
  expect(third.from).toEqual(second.from)
  await bench.owner.reconcilePass.updateMany({
    where: { id: BigInt(first.passId) },
    data: { windowTo: new Date(Date.now() + 24 * HOUR) },
  })
  const afterWrongClock = await startReconcilePass(bench.database, 'regular', 'run/5')
  expect(afterWrongClock.from.getTime()).toBeLessThanOrEqual(Date.now() - 5 * HOUR)
  expect((await startReconcilePass(bench.database, 'nightly', 'run/4')).from.getTime()).toBeLessThanOrEqual(Date.now() - 71 * HOUR)
  expect(await bench.database.reconcilePass.findUniqueOrThrow({ where: { id: BigInt(second.passId) } })).toMatchObject({
    complete: false,
    problem: 'a gap',
  })
})

test.each([
  ['regular', 'ReconciliationIncomplete'],
  ['backfill', 'BackfillIncomplete'],
] as const)('When a %s pass ends with a gap, then an alarm is raised until a pass of its kind is complete', async (kind, alarm) => {
  const outcome = { pages: 1, callsSeen: 0, callsNew: 0, recordingsNew: 0 }
  const window = { from: new Date(WINDOW.from), to: new Date(WINDOW.to) }
  const end = async (ended: 'regular' | 'backfill', problem?: string): Promise<void> => {
    const pass = await insertPass(bench.database, ended, `${kind} pass ${(passes += 1)}`, window)
    await bench.run('finishReconcilePass', { passId: pass.passId, ...outcome, ...(problem !== undefined && { problem }) })
  }
  let passes = 0
  await end(kind, 'a gap')
  expect(bench.alarms.active()).toMatchObject([{ name: alarm, reason: 'a gap' }])
  await end(kind === 'regular' ? 'backfill' : 'regular')
  expect(bench.alarms.active()).toHaveLength(1)
  await end(kind)
  expect(bench.alarms.active()).toEqual([])
})

test('When calls wait for a link, then one request contains twenty of them, and each of them is in a request', async () => {
  const waiting = Array.from({ length: 21 }, newCallSid)
  await bench.database.call.createMany({ data: waiting.map((callSid) => ({ callSid, recordingState: 'awaiting' })) })
  const batches = await bench.run('listCallsWithoutLink')
  expect(batches.flat()).toEqual(expect.arrayContaining(waiting))
  const callSids = batches.find((batch) => batch.length === 20)!
  const found = callSids.find((callSid) => waiting.includes(callSid))!
  answer([listed(found, { EndTime: formatExotelTime(new Date()) })])
  expect(await bench.run('sweepLinks', callSids)).toBe(1)
  expect(new URL(exotel.requests[0]!.url, exotel.url).searchParams.get('Sid')).toBe(callSids.join(','))
  expect(await eventsOf(found)).toMatchObject([{ source: 'reconcile', sourceUrls: [linkOf(found)] }])
  expect((await bench.run('listCallsWithoutLink')).flat()).not.toContain(found)
})
