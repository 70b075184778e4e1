// Since when calls wait for their recordings, and what /health makes of it.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import express from 'express'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ConnectionChecks } from '../../api/connection-checks.ts'
import { operationRoutes } from '../../api/operation.ts'
import { healthOperations } from '../../api/routes/health.ts'
import { recordEvent } from '../../calls/record-event.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
import { deliveryIdentity, readCallEvent, type WebhookRoute } from '../../exotel/call-event.ts'
import { eventually } from '../support/eventually.ts'
import { newCallSid, openDatabase, type OpenDatabase } from '../support/servers.ts'

const TWO_HOURS = 2 * 3600_000

let opened: OpenDatabase
let server: Server
beforeAll(async () => {
  opened = await openDatabase()
  // The relay and Temporal have no faults, so that only the rows decide.
  const relay = { state: () => ({ state: 'relaying' as const, since: new Date().toISOString() }) }
  const checks = { temporal: async () => 'The namespace exists' } as ConnectionChecks
  const operations = healthOperations({ database: opened.database, relay, checks, lifecycle: { state: 'serving' } })
  server = express()
    .use(operationRoutes(operations, (_request, _response, next) => next()))
    .listen(0)
})
afterAll(async () => {
  await new Promise((resolve) => void server?.close(resolve))
  await opened?.close()
})
beforeEach(() => opened.owner.call.deleteMany())

const record = (route: WebhookRoute, fields: Record<string, string>) => {
  const event = readCallEvent(fields, route)
  return recordEvent(opened.database, { source: 'exotel', route, identity: deliveryIdentity(route, fields), event, fields })
}
const callOf = (callSid: CallSid) => opened.database.call.findUniqueOrThrow({ where: { callSid } })

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
  const health = async () => {
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/health`)
    return (await response.json()) as { status: string; temporal: string; relay: object; recordings: { stalled: boolean } }
  }
  const becomes = (status: string) =>
    eventually(`the status ${status}`, async () => {
      const answer = await health()
      return answer.status === status && answer
    })
  await becomes('ok')
  const { callSid } = await endedTwoHoursAgo()
  expect(await becomes('degraded')).toMatchObject({ temporal: 'ok', relay: { state: 'relaying' }, recordings: { stalled: true } })
  await opened.owner.call.update({
    where: { callSid },
    data: { recordingState: 'stored', recordingUrl: 'https://s3.test/x.mp3', recordingStateSince: new Date() },
  })
  expect(await becomes('ok')).toMatchObject({ recordings: { stalled: false } })
})
