// The relay on a real database, with a Temporal client whose responses each test chooses.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { setTimeout as pause } from 'node:timers/promises'
import { pino } from 'pino'
import { RELAY_LIMITS, startRelay, type Relay } from '../../relay/relay.ts'
import type { Database } from '../../platform/database.ts'
import { eventually } from '../support/eventually.ts'
import { scriptTemporal, type Answer, type ScriptedTemporal } from '../support/scripted-temporal.ts'
import { newCallSid, openDatabase } from '../support/servers.ts'
import { POLICY } from '../support/workflow-harness.ts'

/** More than the relay sends concurrently. */
const MANY = 60
/** Long enough that a paused event is not sent twice within a test. */
const LATER = 3600

let database: Database
let owner: Database
let close: () => Promise<void>
let relay: Relay | undefined
let temporal: ScriptedTemporal | undefined
let lines: string[] = []
beforeAll(async () => {
  ;({ database, owner, close } = await openDatabase(10))
})
beforeEach(async () => {
  lines = []
  await owner.webhookEvent.deleteMany()
})
afterEach(async () => {
  temporal?.endHangs()
  await relay?.stop()
})
afterAll(() => close?.())

async function commit(callSids: string[]): Promise<void> {
  await database.webhookEvent.createMany({
    data: callSids.map((callSid) => ({ source: 'exotel', route: 'call-end', identity: callSid, callSid, relayState: 'pending' })),
  })
}
const newCalls = (count: number): string[] => Array.from({ length: count }, newCallSid)
const eventOf = (callSid: string) => database.webhookEvent.findFirstOrThrow({ where: { callSid } })
const started = (callSids: string[]) => database.webhookEvent.count({ where: { callSid: { in: callSids }, relayState: 'started' } })
const isPaused = (relay: Relay) => relay.state().state === 'paused' && relay.state().problem !== undefined
/** Ends the pauses of all events. */
const endPauses = () => database.$executeRaw`UPDATE webhook_events SET next_relay_at = now() - interval '1 s' WHERE relay_state = 'pending'`

function start(answer: (callSid: string, before: number) => Answer, on = database): { relay: Relay; temporal: ScriptedTemporal } {
  temporal = scriptTemporal(answer)
  relay = startRelay({
    database: on,
    temporal: temporal.client,
    policy: POLICY,
    pauses: { firstMs: 20, maxMs: 50 },
    limits: RELAY_LIMITS,
    ready: Promise.resolve(),
    logger: pino({ level: 'warn' }, { write: (line) => void lines.push(line) }),
  })
  return { relay, temporal }
}

describe('When many events get no response and Temporal as a whole responds', () => {
  test.each(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED', 'hangs'] as const)(
    'then (%s) the events after them are sent, and the relay does not wait',
    async (answer) => {
      const [failing, good] = [newCalls(MANY), newCalls(5)]
      await commit(failing)
      await commit(good)
      const { relay } = start((callSid) => (failing.includes(callSid) ? answer : 'ok'))
      await eventually('the others to be started', async () => (await started(good)) === good.length)
      expect(relay.state().state).toBe('relaying')
      for (const callSid of failing) expect(await eventOf(callSid)).toMatchObject({ relayState: 'pending', relayTries: 0 })
    },
  )

  test('then each is sent after the others with its own growing pause, and its relay_tries do not change', async () => {
    const [callSid] = newCalls(1) as [string]
    await commit([callSid])
    const { temporal } = start(() => 'UNAVAILABLE')
    const pauses: number[] = []
    for (let waits = 1; waits <= 7; waits += 1) {
      const event = await eventually('the next attempt', async () => {
        const row = await eventOf(callSid)
        return row.relayWaits === waits && row
      })
      pauses.push(Math.ceil((event.nextRelayAt.getTime() - Date.now()) / 1000))
      expect(event).toMatchObject({ relayTries: 0, claimedUntil: null, claimedBy: null, relayError: 'shard status unknown' })
      await endPauses()
    }
    expect(pauses).toEqual([1, 2, 4, 8, 16, 30, 30])
    expect(temporal.signals.length).toBeLessThanOrEqual(8)
  })

  test('then an event is marked as started when its request gets a response', async () => {
    const [callSid] = newCalls(1) as [string]
    await commit([callSid])
    start((_callSid, before) => (before < 2 ? 'UNAVAILABLE' : 'ok'))
    await eventually('it to be started', async () => {
      await endPauses()
      return (await started([callSid])) === 1
    })
    expect(await eventOf(callSid)).toMatchObject({ relayError: null, claimedBy: null })
  })

  test('then events that wait for their next attempt do not take the place of new ones', async () => {
    const failing = newCalls(300)
    await commit(failing)
    await database.$executeRaw`UPDATE webhook_events SET relay_waits = 3, next_relay_at = now() - interval '1 minute'`
    const good = newCalls(5)
    await commit(good)
    start((callSid) => (failing.includes(callSid) ? 'hangs' : 'ok'))
    await eventually('the new ones to be started', async () => (await started(good)) === good.length)
  })
})

describe('When Temporal as a whole does not respond', () => {
  test('then the relay waits, counts nothing for any event, and sends nothing until getSystemInfo succeeds', async () => {
    const calls = newCalls(30)
    await commit(calls)
    let isUnavailable = true
    const { relay, temporal } = start(() => (isUnavailable ? 'UNAVAILABLE' : 'ok'))
    temporal.failSystemLooks(Infinity)
    await eventually('the relay to pause', async () => isPaused(relay))
    await eventually('no claim to be left', async () => (await database.webhookEvent.count({ where: { claimedBy: { not: null } } })) === 0)
    const [signals, looks] = [temporal.signals.length, temporal.systemLooks()]
    await eventually('further calls of getSystemInfo', async () => temporal.systemLooks() > looks + 3)
    expect(temporal.signals.length).toBe(signals)
    for (const callSid of calls) expect(await eventOf(callSid)).toMatchObject({ relayState: 'pending', relayTries: 0, relayWaits: 0 })
    isUnavailable = false
    temporal.failSystemLooks(0)
    await eventually('all to be started', async () => (await started(calls)) === calls.length)
    expect(relay.state().state).toBe('relaying')
  })

  test('then events that waited for a response are due when it responds again, and deferred ones keep their pause', async () => {
    const [waiting, deferred, fresh] = newCalls(3) as [string, string, string]
    await commit([waiting, deferred])
    await database.$executeRaw`
      UPDATE webhook_events SET next_relay_at = now() + make_interval(secs => ${LATER}),
        relay_waits = CASE WHEN call_sid = ${waiting} THEN 6 ELSE 0 END, relay_tries = CASE WHEN call_sid = ${deferred} THEN 6 ELSE 0 END`
    let isUnavailable = true
    const { relay, temporal } = start(() => (isUnavailable ? 'DEADLINE_EXCEEDED' : 'ok'))
    temporal.failSystemLooks(Infinity)
    await commit([fresh])
    relay.kick()
    await eventually('the relay to pause', async () => isPaused(relay))
    expect(temporal.signals).not.toContain(waiting)
    isUnavailable = false
    temporal.failSystemLooks(0)
    await eventually('both to be started', async () => (await started([waiting, fresh])) === 2)
    expect(temporal.signals).not.toContain(deferred)
  })

  test('then the relay resumes afterwards without waiting for single events that get no response', async () => {
    const [first, failing, good] = [newCalls(1), newCalls(3), newCalls(MANY)]
    await commit(first)
    const { relay, temporal } = start((callSid, before) => {
      if (failing.includes(callSid)) return 'hangs'
      return first.includes(callSid) && before === 0 ? 'UNAVAILABLE' : 'ok'
    })
    temporal.failSystemLooks(Infinity)
    await eventually('the relay to pause', async () => isPaused(relay))
    await commit(failing)
    await commit(good)
    temporal.failSystemLooks(0)
    await eventually('the others to be started', async () => (await started(good)) === good.length)
    expect(temporal.hanging()).toBe(failing.length)
  })

  test('then the state contains code and time of the newest problem, also afterwards, and each new reason is logged', async () => {
    const [refused, waiting] = newCalls(2) as [string, string]
    await commit([refused])
    let answer: Answer = 'namespace missing'
    const { relay } = start((callSid) => (callSid === refused ? 'INVALID_ARGUMENT' : answer))
    const isLater = (one: string, other: string) => Date.parse(one) > Date.parse(other)
    const logged = (reason: RegExp) => eventually(`a line about ${reason}`, async () => lines.some((line) => reason.test(line)))
    const first = await eventually('the first problem', async () => relay.state().problem !== undefined && relay.state())
    expect(first).toMatchObject({ state: 'relaying', problem: 'EventRefused' })
    await commit([waiting])
    const second = await eventually('the second problem', async () => isPaused(relay) && relay.state())
    expect(second).toMatchObject({ state: 'paused', problem: 'TemporalUnavailable' })
    await eventually('its time', async () => isLater(relay.state().problemAt!, first.problemAt!))
    await logged(/npm run temporal:setup/)
    answer = 'PERMISSION_DENIED'
    await logged(/unauthorized/)
    expect(relay.state()).toMatchObject({ state: 'paused', since: second.since, problem: 'TemporalUnavailable' })
    await eventually('the time of the third problem', async () => isLater(relay.state().problemAt!, second.problemAt!))
    answer = 'ok'
    await eventually('the relay to resume', async () => relay.state().state === 'relaying')
    expect(relay.state()).toMatchObject({ problem: 'TemporalUnavailable', problemAt: expect.any(String) })
  })
})

test.each(['namespace missing', 'search attribute missing', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED'] as const)(
  'When Temporal responds with %s, then the whole relay waits, although getSystemInfo succeeds',
  async (answer) => {
    const [bad, good] = [newCalls(MANY), newCalls(5)]
    await commit(bad)
    await commit(good)
    const { relay } = start((callSid) => (bad.includes(callSid) ? answer : 'ok'))
    await eventually('the relay to pause', async () => isPaused(relay))
    await eventually('the other events to be started', async () => (await started(good)) === good.length)
    for (const callSid of bad) expect(await eventOf(callSid)).toMatchObject({ relayState: 'pending', relayTries: 0, relayWaits: 0 })
  },
)

test.each(['INVALID_ARGUMENT', 'workflow is busy', 'message too large'] as const)(
  'When Temporal refuses one event with %s, then only this event is deferred',
  async (answer) => {
    const [refused, good] = newCalls(2) as [string, string]
    await commit([refused, good])
    const { relay } = start((callSid) => (callSid === refused ? answer : 'ok'))
    await eventually('it to be deferred', async () => (await eventOf(refused)).relayTries === 1)
    await eventually('the other to be started', async () => (await started([good])) === 1)
    expect(relay.state()).toMatchObject({ state: 'relaying' })
    expect(await eventOf(refused)).toMatchObject({ relayWaits: 0, claimedBy: null, relayError: expect.any(String) })
  },
)

test('When the relay is stopped while requests get no response, then it does not wait for them, and their events can be claimed at once', async () => {
  const calls = newCalls(5)
  await commit(calls)
  const { relay, temporal } = start(() => 'hangs')
  await eventually('all requests to be in progress', async () => temporal.hanging() === calls.length)
  await relay.stop()
  expect(temporal.hanging()).toBe(calls.length)
  for (const callSid of calls)
    expect(await eventOf(callSid)).toMatchObject({ claimedUntil: null, claimedBy: null, relayTries: 0, relayWaits: 0 })
})

test('When the database is not migrated yet, then the relay claims nothing until it is', async () => {
  const [callSid] = newCalls(1) as [string]
  await commit([callSid])
  temporal = scriptTemporal(() => 'ok')
  let migrated: (value?: unknown) => void = () => {}
  relay = startRelay({
    database,
    temporal: temporal.client,
    policy: POLICY,
    pauses: { firstMs: 20, maxMs: 50 },
    limits: RELAY_LIMITS,
    ready: new Promise((resolve) => {
      migrated = resolve
    }),
    logger: pino({ level: 'silent' }),
  })
  relay.kick()
  expect(relay.state().state).toBe('paused')
  expect(await eventOf(callSid)).toMatchObject({ relayState: 'pending', claimedBy: null })
  migrated()
  await eventually('it to be started', async () => (await started([callSid])) === 1)
  expect(relay.state().state).toBe('relaying')
})

test('When one lane is full and nothing else is due, then the relay queries for events only at its poll interval', async () => {
  let statements = 0
  const counted = new Proxy(database, {
    get: (target, name) => {
      if (name === '$queryRaw') statements += 1
      return Reflect.get(target, name) as unknown
    },
  })
  await commit(newCalls(RELAY_LIMITS.concurrency))
  const { temporal } = start(() => 'hangs', counted)
  await eventually('all of them to be in progress', async () => temporal.hanging() === RELAY_LIMITS.concurrency)
  statements = 0
  await pause(RELAY_LIMITS.slowAfterMs * 0.8) // the test counts the statements of this time
  expect(statements).toBeLessThan(5)
})
