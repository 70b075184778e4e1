// The relay with more events than slots, and the record of what it did: rows, log and metrics.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { claimEvents, type ClaimedEvent } from '../../calls/relay-events.ts'
import { registry } from '../../platform/metrics.ts'
import type { DeliveryOutcome } from '../../relay/deliver-event.ts'
import { createOutcomeRecorder } from '../../relay/relay-outcomes.ts'
import { RELAY_LIMITS, startRelay, type Relay } from '../../relay/relay.ts'
import { eventually } from '../support/eventually.ts'
import { untilBlocked } from '../support/locks.ts'
import { scriptTemporal, type Answer, type ScriptedTemporal } from '../support/scripted-temporal.ts'
import { newCallSid, openDatabase, type OpenDatabase } from '../support/servers.ts'
import { POLICY } from '../support/workflow-harness.ts'

/** No request becomes slow, and the relay does not query for events by itself. */
const WITHOUT_POLLS = { concurrency: 4, slowAfterMs: 3600_000, inFlight: 100, pollMs: 3600_000 }

let opened: OpenDatabase
let relay: Relay | undefined
let temporal: ScriptedTemporal | undefined
let lines: string[]
beforeAll(async () => {
  opened = await openDatabase(10)
})
beforeEach(async () => {
  lines = []
  await opened.owner.webhookEvent.deleteMany()
})
afterEach(async () => {
  temporal?.endHangs()
  await relay?.stop()
  relay = undefined
})
afterAll(() => opened?.close())

const logger = () => pino({ level: 'warn' }, { write: (line) => void lines.push(line) })
async function commit(count: number): Promise<string[]> {
  const callSids = Array.from({ length: count }, newCallSid)
  await opened.database.webhookEvent.createMany({
    data: callSids.map((callSid) => ({ source: 'exotel', route: 'call-end', identity: callSid, callSid, relayState: 'pending' })),
  })
  return callSids
}
const claim = (count: number) => claimEvents(opened.database, { fresh: count, withoutResponse: count })
const started = () => opened.database.webhookEvent.count({ where: { relayState: 'started' } })

function start(answer: () => Answer, limits = WITHOUT_POLLS): { relay: Relay; temporal: ScriptedTemporal } {
  temporal = scriptTemporal(answer, 3600_000)
  const pauses = { firstMs: 20, maxMs: 50 }
  const { database } = opened
  relay = startRelay({ database, temporal: temporal.client, policy: POLICY, pauses, limits, ready: Promise.resolve(), logger: logger() })
  return { relay, temporal }
}

describe('When more events are due than the relay sends at a time', () => {
  test('then the next ones are sent as soon as requests have ended, not at the next poll', async () => {
    await commit(12)
    const { temporal } = start(() => 'slow')
    for (const sent of [4, 8, 12]) {
      await eventually(`${sent} to be sent`, async () => temporal.signals.length === sent, 5000)
      expect(temporal.hanging()).toBe(4)
      temporal.endHangs()
    }
    await eventually('all to be started', async () => (await started()) === 12)
  })

  test('then one that is committed while no slot is free is sent as soon as one is free', async () => {
    await commit(3) // less than half of the slots are left, so none is offered
    const { relay, temporal } = start(() => 'slow')
    await eventually('three to be sent', async () => temporal.hanging() === 3)
    const [late] = await commit(1)
    relay.kick()
    temporal.endHangs()
    await eventually('the other one to be sent', async () => temporal.signals.includes(late!), 5000)
  })
})

test('When an event is committed, then the relay sends it at once, not at the next poll', async () => {
  const { relay } = start(() => 'ok')
  for (let events = 1; events <= 3; events += 1) {
    await commit(1)
    relay.kick()
    await eventually(`event ${events} to be started`, async () => (await started()) === events, 5000)
  }
})

test('When the relay is stopped while it claims events, then none is sent, and they can be claimed at once', async () => {
  await commit(3)
  const { database, owner } = opened
  await database.$executeRaw`UPDATE webhook_events SET next_relay_at = now() - interval '1 hour'`
  let signals: readonly string[] = []
  await owner.$transaction(
    async (holder) => {
      await holder.$executeRaw`LOCK TABLE webhook_events IN ACCESS EXCLUSIVE MODE`
      const { relay, temporal } = start(() => 'ok', RELAY_LIMITS)
      ;({ signals } = temporal)
      await untilBlocked(database, [new Promise(() => {})])
      await relay.stop()
    },
    { timeout: 60_000 },
  )
  const released = { claimedBy: null, nextRelayAt: { gt: new Date(Date.now() - 1_800_000) } }
  await eventually('the claim and its release', async () => (await database.webhookEvent.count({ where: released })) === 3, 5000)
  expect(signals).toEqual([])
})

test('When Temporal as a whole has a fault, then the metric shows it until the relay resumes, and the log has one line', async () => {
  const paused = async () => (await registry.getSingleMetric('caly_relay_paused')!.get()).values[0]?.value
  let answer: Answer = 'namespace missing'
  await commit(1)
  const { relay, temporal } = start(() => answer)
  await eventually('further attempts', async () => temporal.signals.length >= 4)
  expect(await paused()).toBe(1)
  expect(lines).toEqual([expect.stringContaining('Recording relay paused')])
  answer = 'ok'
  await eventually('the relay to resume', async () => relay.state().state === 'relaying')
  expect(await paused()).toBe(0)
})

describe('When outcomes are recorded', () => {
  const NO_RESPONSE: DeliveryOutcome = { kind: 'no_response', reason: 'shard status unknown' }
  const recordAll = (events: ClaimedEvent[], outcome: DeliveryOutcome) => {
    const record = createOutcomeRecorder(opened.database, logger())
    return Promise.all(events.map((event) => record({ event, outcome })))
  }

  test('and PostgreSQL fails once, then later outcomes are recorded', async () => {
    await commit(2)
    const [first, second] = (await claim(2)) as [ClaimedEvent, ClaimedEvent]
    const record = createOutcomeRecorder(opened.database, logger())
    await opened.owner.$executeRaw`ALTER TABLE webhook_events RENAME TO hidden_events`
    await expect(record({ event: first, outcome: { kind: 'started' } })).rejects.toThrow()
    await opened.owner.$executeRaw`ALTER TABLE hidden_events RENAME TO webhook_events`
    await record({ event: second, outcome: { kind: 'started' } })
    expect(await started()).toBe(1)
  })

  test('then the metric counts each by its result', async () => {
    const counts = async () => {
      const { values } = await registry.getSingleMetric('caly_relay_events_total')!.get()
      return Object.fromEntries(values.map(({ labels, value }) => [labels.result, value])) as Record<string, number>
    }
    const before = await counts()
    const reason = 'r'
    const outcomes: DeliveryOutcome[] = [
      { kind: 'started' },
      { kind: 'nothing_new' },
      { kind: 'refused', reason },
      { kind: 'no_response', reason },
      { kind: 'temporal_fault', reason },
    ]
    for (const [index, outcome] of outcomes.entries()) {
      await opened.owner.webhookEvent.deleteMany()
      await commit(index + 1)
      await recordAll(await claim(index + 1), outcome)
    }
    const added = Object.entries(await counts()).map(([result, value]) => [result, value - before[result]!])
    expect(Object.fromEntries(added)).toEqual({ started: 1, nothing_new: 2, deferred: 3, no_response: 4, released: 5 })
  })

  test('then the log has a line for each refusal, and one for an event that gets no response repeatedly', async () => {
    const [refused, waiting] = (await commit(2)) as [string, string]
    for (let attempts = 1; attempts <= 3; attempts += 1) {
      const events = await claim(2)
      const of = (callSid: string) => events.filter((event) => event.callSid === callSid)
      await Promise.all([recordAll(of(refused), { kind: 'refused', reason: 'too large' }), recordAll(of(waiting), NO_RESPONSE)])
      await opened.database.$executeRaw`UPDATE webhook_events SET next_relay_at = now() - interval '1 s'`
    }
    const logged = lines.map((line) => JSON.parse(line) as { callSid: string; reason: string; tries?: number })
    expect(logged.filter(({ callSid }) => callSid === refused)).toMatchObject([1, 2, 3].map((tries) => ({ reason: 'too large', tries })))
    expect(logged.filter(({ callSid }) => callSid === waiting)).toMatchObject([{ reason: 'shard status unknown' }])
  })
})
