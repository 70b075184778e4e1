// Since when calls wait for their recordings, and what /health makes of it.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import express from 'express'
import type { ConnectionChecks } from '../../api/connection-checks.ts'
import { operationRoutes } from '../../api/operation.ts'
import { healthOperations } from '../../api/routes/health.ts'
import { measurePipeline, pipelineHealth } from '../../calls/pipeline-health.ts'
import { finishReconcilePass, insertPass } from '../../calls/reconcile.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
import type { WebhookRoute } from '../../exotel/call-event.ts'
import { registry } from '../../platform/metrics.ts'
import { eventually } from '../support/eventually.ts'
import { recordWebhook } from '../support/record-webhook.ts'
import { serve, type Served } from '../support/serve.ts'
import { newCallSid, openDatabase, type OpenDatabase } from '../support/servers.ts'

const TWO_HOURS = 2 * 3600_000

let opened: OpenDatabase
let server: Served
/** Without faults, so that only the rows decide. */
let relayState: 'relaying' | 'paused' = 'relaying'
let temporalCheck = async (): Promise<string> => 'The namespace exists'
beforeAll(async () => {
  opened = await openDatabase()
  const relay = { state: () => ({ state: relayState, since: new Date().toISOString() }) }
  const checks = { temporal: () => temporalCheck() } as ConnectionChecks
  const operations = healthOperations({ database: opened.database, relay, checks, lifecycle: { state: 'serving' } })
  server = await serve(express().use(operationRoutes(operations, (_request, _response, next) => next())))
})
afterAll(async () => {
  server?.close()
  await opened?.close()
})
beforeEach(() => opened.owner.call.deleteMany())

const record = (route: WebhookRoute, fields: Record<string, string>) => recordWebhook(opened.database, route, fields)
const callOf = (callSid: CallSid) => opened.database.call.findUniqueOrThrow({ where: { callSid } })

/** Waits until /health has this status: it may use the result of a check for a second. */
function becomes(status: string) {
  return eventually(
    `the status ${status}`,
    async () => {
      const response = await fetch(`${server.url}/health`)
      const answer = (await response.json()) as { status: string; temporal: string; relay: object; recordings: { stalled: boolean } }
      return answer.status === status && answer
    },
    5000,
  )
}

/** Records the end of a call, as if it had arrived two hours ago and the relay had sent it. */
async function endedTwoHoursAgo(): Promise<{ callSid: CallSid; since: Date }> {
  const [callSid, since] = [newCallSid(), new Date(Date.now() - TWO_HOURS)]
  await record('call-end', { CallSid: callSid, Status: 'completed' })
  await opened.owner.call.update({ where: { callSid }, data: { recordingStateSince: since } })
  await opened.owner.webhookEvent.updateMany({ data: { relayState: 'started' } })
  return { callSid, since }
}

test('When another event of a waiting or stored call arrives, then the time since when it is in its state does not change', async () => {
  for (const recordingState of ['awaiting', 'stored']) {
    const { callSid, since } = await endedTwoHoursAgo()
    if (recordingState === 'stored')
      await opened.owner.call.update({ where: { callSid }, data: { recordingState, recordingUrl: 'https://s3.test/x.mp3' } })
    await record('call-end', { CallSid: callSid, Status: 'completed', ConversationDuration: '42' })
    expect(await callOf(callSid)).toMatchObject({ durationSeconds: 42, recordingState, recordingStateSince: since })
  }
})

test('When calls wait and no recording was stored for 75 min, then /health is degraded, until one is stored', async () => {
  await becomes('ok')
  const { callSid } = await endedTwoHoursAgo()
  expect(await becomes('degraded')).toMatchObject({ temporal: 'ok', relay: { state: 'relaying' }, recordings: { stalled: true } })
  await opened.owner.call.update({
    where: { callSid },
    data: { recordingState: 'stored', recordingUrl: 'https://s3.test/x.mp3', recordingStateSince: new Date() },
  })
  expect(await becomes('ok')).toMatchObject({ recordings: { stalled: false } })
})

describe('When there is one fault, then /health is degraded until it ends:', () => {
  const ofEvent = (fault: { relayTries: number } | { relayWaits: number }) => async () => {
    await record('call-end', { CallSid: newCallSid(), Status: 'completed' })
    await opened.owner.webhookEvent.updateMany({ data: fault })
  }
  afterEach(async () => {
    relayState = 'relaying'
    temporalCheck = async () => 'The namespace exists'
    await opened.owner.webhookEvent.deleteMany()
    await becomes('ok')
  })

  test.each<[string, () => unknown]>([
    ['the relay is paused', () => (relayState = 'paused')],
    ['Temporal is unavailable', () => (temporalCheck = () => Promise.reject(new Error('14 UNAVAILABLE')))],
    ['Temporal refused an event', ofEvent({ relayTries: 1 })],
    ['an event got no response', ofEvent({ relayWaits: 1 })],
  ])('%s', async (_what, begin) => {
    await becomes('ok')
    await begin()
    expect(await becomes('degraded')).toMatchObject({ recordings: { stalled: false } })
  })
})

test('When a call waits for two hours, then recordings are stalled only if no other one was stored for 75 min', async () => {
  await endedTwoHoursAgo()
  const { callSid } = await endedTwoHoursAgo()
  const storedAt = (recordingStateSince: Date) =>
    opened.owner.call.update({
      where: { callSid },
      data: { recordingState: 'stored', recordingUrl: 'https://s3.test/x.mp3', recordingStateSince },
    })
  for (const [minutes, stalled] of [
    [70, false],
    [80, true],
  ] as const) {
    await storedAt(new Date(Date.now() - minutes * 60_000))
    expect(await pipelineHealth(opened.database)).toMatchObject({ awaiting: 1, stalled })
  }
})

test('When calls are in several states, then health and metrics count each of them', async () => {
  const states = ['awaiting', 'failed', 'failed', 'quarantined', 'quarantined', 'quarantined', 'stored', 'none']
  const failure = { recordingError: 'cut', recordingErrorCode: 'RecordingDamaged' }
  const data = states.map((recordingState) => ({
    callSid: newCallSid(),
    recordingState,
    recordingUrl: recordingState === 'stored' ? 'https://s3.test/x.mp3' : null,
    ...(['failed', 'quarantined'].includes(recordingState) && failure),
  }))
  await opened.owner.call.createMany({ data })
  await opened.owner.webhookEvent.deleteMany()
  const oldest = new Date(Date.now() - TWO_HOURS)
  const events = [
    { relayState: 'started', receivedAt: new Date(oldest.getTime() - TWO_HOURS), relayTries: 1, relayWaits: 1 },
    { receivedAt: oldest },
    { relayTries: 1 },
    { relayWaits: 1 },
    { relayWaits: 2 },
  ].map((event) => ({ source: 'exotel', route: 'call-end', identity: newCallSid(), callSid: 'c', relayState: 'pending', ...event }))
  await opened.owner.webhookEvent.createMany({ data: events })
  const relay = { unrelayed: 4, deferred: 1, withoutResponse: 2, oldestUnrelayedAt: oldest }
  expect(await pipelineHealth(opened.database)).toMatchObject({ awaiting: 1, failed: 2, quarantined: 3, ...relay })
  await measurePipeline(opened.database)
  const metrics = await registry.metrics()
  for (const line of [
    'recordings{state="awaiting"} 1',
    'recordings{state="failed"} 2',
    'recordings{state="quarantined"} 3',
    'relay_pending_events 4',
    'recordings_stalled 0',
  ])
    expect(metrics).toContain(`caly_${line}\n`)
})

test('When passes through the list of calls end, then only a complete one that is no backfill counts as the last one', async () => {
  const window = { from: new Date(Date.now() - TWO_HOURS), to: new Date() }
  const end = async (kind: 'regular' | 'backfill', problem?: string): Promise<Date | null> => {
    const { passId } = await insertPass(opened.database, kind, `${kind} ${problem}`, window)
    const counts = { pages: 1, callsSeen: 0, callsNew: 0, recordingsNew: 0 }
    await finishReconcilePass(opened.database, { passId, ...counts, ...(problem !== undefined && { problem }) })
    return (await pipelineHealth(opened.database)).lastReconciledAt
  }
  expect(await end('regular', 'a gap')).toBeNull()
  expect(await end('backfill')).toBeNull()
  expect(await end('regular')).toBeInstanceOf(Date)
})
