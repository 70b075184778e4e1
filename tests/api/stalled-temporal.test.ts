// Temporal accepts connections and does not respond: every request to it has a deadline.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Client, Connection } from '@temporalio/client'
import { pino } from 'pino'
import { RELAY_LIMITS, startRelay, type Relay } from '../../relay/relay.ts'
import { isRunOpen } from '../../temporal/open-runs.ts'
import { startTcpProxy, type TcpProxy } from '../../testing/chaos/tcp-proxy.ts'
import { eventually } from '../support/eventually.ts'
import { createNamespace, newCallSid, openDatabase, servers, type OpenDatabase } from '../support/servers.ts'
import { POLICY } from '../support/workflow-harness.ts'

let opened: OpenDatabase
let temporal: Awaited<ReturnType<typeof createNamespace>>
let line: TcpProxy
let client: Client
let relay: Relay | undefined
beforeAll(async () => {
  const [host, port] = servers.temporal.address.split(':') as [string, string]
  ;[opened, temporal, line] = await Promise.all([openDatabase(), createNamespace(), startTcpProxy(host, Number(port))])
  const connection = await Connection.connect({ address: `127.0.0.1:${line.port}` })
  client = new Client({ connection, namespace: temporal.namespace })
})
afterAll(async () => {
  line?.restore()
  await relay?.stop()
  await client?.connection.close()
  await line?.close()
  await temporal?.close()
  await opened?.close()
})

test('When Temporal stops responding, then the relay pauses, no run counts as ended, and the event is sent when Temporal responds again', async () => {
  const { database } = opened
  const callSid = newCallSid()
  await database.webhookEvent.create({
    data: { source: 'exotel', route: 'call-end', identity: callSid, callSid, relayState: 'pending' },
  })
  line.stall()
  let isOpen: boolean | 'unknown' | undefined
  void isRunOpen(client, callSid).then(
    (result) => (isOpen = result),
    () => (isOpen = 'unknown'),
  )
  relay = startRelay({
    database,
    temporal: async () => client,
    policy: POLICY,
    pauses: { firstMs: 20, maxMs: 50 },
    limits: RELAY_LIMITS,
    ready: Promise.resolve(),
    logger: pino({ level: 'silent' }),
  })
  // The request has a deadline of 10 s, and the check of Temporal as a whole one of 3 s.
  await eventually('the relay to pause', async () => relay?.state().problem === 'TemporalUnavailable', 15_000)
  await eventually('the end of the query', async () => isOpen !== undefined, 15_000)
  expect(isOpen).toBe('unknown')
  expect(await database.webhookEvent.findFirst()).toMatchObject({ relayState: 'pending', relayTries: 0, relayWaits: 0 })
  line.restore()
  await eventually('the event to be sent', async () => (await database.webhookEvent.findFirst())?.relayState === 'started')
  await eventually('the relay to resume', async () => relay?.state().state === 'relaying')
  expect(await isRunOpen(client, callSid)).toBe(true)
})
