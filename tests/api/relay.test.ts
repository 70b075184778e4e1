// The relay on a real database, with a Temporal that answers as a test says.
import { ServiceError, type Client } from '@temporalio/client'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { startRelay, type Relay } from '../../api/relay.ts'
import type { Database } from '../../platform/database.ts'
import { eventually } from '../support/eventually.ts'
import { openDatabase, newCallSid } from '../support/servers.ts'
import { POLICY } from '../support/workflow-lab.ts'

const DEADLINE_EXCEEDED = 4

let database: Database
let close: () => Promise<void>
let relay: Relay | undefined
beforeAll(async () => {
  ;({ database, close } = await openDatabase())
})
afterEach(() => relay?.stop())
afterAll(async () => {
  await close?.()
})

async function commit(callSids: string[]): Promise<void> {
  await database.webhookEvent.createMany({
    data: callSids.map((callSid) => ({ source: 'exotel', route: 'call-end', identity: callSid, callSid, relayState: 'pending' })),
  })
}
const eventOf = (callSid: string) => database.webhookEvent.findFirstOrThrow({ where: { callSid } })

/** Never answers in time for these calls. */
function temporalWithout(slow: string[]): () => Promise<Client> {
  const late = Object.assign(new Error('4 DEADLINE_EXCEEDED'), { code: DEADLINE_EXCEEDED, details: 'Deadline exceeded', metadata: {} })
  const signalWithStart = async (_type: string, { workflowId }: { workflowId: string }): Promise<void> => {
    if (slow.some((callSid) => workflowId.endsWith(callSid))) throw new ServiceError('no answer', { cause: late })
  }
  const connection = { withDeadline: (_deadline: number, work: () => unknown) => work() }
  return async () => ({ connection, workflow: { signalWithStart } }) as unknown as Client
}

test('When one event gets no answer in time and others of its batch do, then it alone is set aside', async () => {
  const [slow, quick] = [newCallSid(), newCallSid()]
  await commit([slow, quick])
  relay = startRelay({
    database,
    temporal: temporalWithout([slow]),
    policy: POLICY,
    pauses: { firstMs: 1000, maxMs: 30_000 },
    logger: pino({ level: 'silent' }),
  })
  await eventually('it to be set aside', async () => (await eventOf(slow)).relayTries > 0)
  expect(await eventOf(quick)).toMatchObject({ relayState: 'started' })
  expect(relay.state()).toMatchObject({ state: 'relaying' })
})

test('When no event gets an answer in time, then the relay as a whole waits, and no event is blamed', async () => {
  const slow = [newCallSid(), newCallSid()]
  await commit(slow)
  relay = startRelay({
    database,
    temporal: temporalWithout(slow),
    policy: POLICY,
    pauses: { firstMs: 1000, maxMs: 30_000 },
    logger: pino({ level: 'silent' }),
  })
  await eventually('it to stand still', async () => relay!.state().state === 'waiting')
  for (const callSid of slow) expect(await eventOf(callSid)).toMatchObject({ relayState: 'pending', relayTries: 0 })
})
