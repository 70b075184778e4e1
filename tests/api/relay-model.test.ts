// Two relays on one database under random failures: Temporal's responses, and the time when one of the relays dies, are random.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { pino } from 'pino'
import { startRelay, type Relay } from '../../relay/relay.ts'
import type { Database } from '../../platform/database.ts'
import { eventually } from '../support/eventually.ts'
import { scriptTemporal, type Answer, type ScriptedTemporal } from '../support/scripted-temporal.ts'
import { newCallSid, openDatabase } from '../support/servers.ts'
import { POLICY } from '../support/workflow-harness.ts'

const RUNS = Number(process.env.MODEL_RUNS ?? 30)
const LIMITS = { concurrency: 4, slowAfterMs: 10, inFlight: 8, pollMs: 20 }
const HANG_MS = 30
/**
 * How often another event may be sent while a due event waits for its first request. One time is normal. The rest allows for claims whose
 * result is on its way from PostgreSQL while the other relay continues, which takes long on a busy machine. If an event starved, others
 * would be sent without limit.
 */
const OVERTAKES = 50
/** The end of all pauses until the model ends them. */
const PAUSED = '2100-01-01'

const NO_RESPONSE = ['hangs', 'UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED'] as const
const REFUSALS = ['INVALID_ARGUMENT', 'workflow is busy', 'message too large'] as const
const FAULTS = ['RESOURCE_EXHAUSTED', 'PERMISSION_DENIED', 'namespace missing', 'search attribute missing'] as const
const among = (answers: readonly Answer[], answer: Answer) => answers.includes(answer)

/** One event: its first `times` requests end with `answer`; every later request succeeds. */
interface Plan {
  answer: Answer
  times: number
}

interface History {
  events: Plan[]
  /** The number of first calls of `getSystemInfo` that fail. */
  systemFailures: number
  /** The first relay dies when this number of signals was sent. */
  diesAfter: number | null
}

const failing = fc.record({
  answer: fc.constantFrom<Answer>(...NO_RESPONSE, ...REFUSALS, ...FAULTS),
  times: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.constant(Infinity)),
})
const good = fc.constant<Plan>({ answer: 'ok', times: 0 })
/** These events are due before all others, and may be more than the relays send at a time. */
const lasting = fc.record<Plan>({ answer: fc.constantFrom(...FAULTS), times: fc.constant(Infinity) })
const histories: fc.Arbitrary<History> = fc.record({
  events: fc
    .tuple(fc.array(lasting, { maxLength: 12 }), fc.array(fc.oneof(good, failing), { minLength: 1, maxLength: 30 }))
    .map(([first, others]) => [...first, ...others]),
  systemFailures: fc.nat({ max: 4 }),
  diesAfter: fc.option(fc.integer({ min: 1, max: 30 })),
})

let database: Database
let owner: Database
let close: () => Promise<void>
beforeAll(async () => {
  ;({ database, owner, close } = await openDatabase(10))
  // Pauses last until the model ends them, however slow the machine is.
  await owner.$executeRawUnsafe(`
    CREATE FUNCTION stop_clock() RETURNS TRIGGER LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.relay_state = 'pending' AND NEW.next_relay_at > clock_timestamp() THEN NEW.next_relay_at := '${PAUSED}'; END IF;
      RETURN NEW;
    END $$`)
  await owner.$executeRawUnsafe('CREATE TRIGGER stop_clock BEFORE UPDATE ON webhook_events FOR EACH ROW EXECUTE FUNCTION stop_clock()')
})
afterAll(() => close?.())

const endPauses = () => database.$executeRaw`UPDATE webhook_events SET next_relay_at = now() WHERE next_relay_at = ${PAUSED}::timestamptz`
const expireLeases = () =>
  database.$executeRaw`UPDATE webhook_events SET claimed_until = now() - interval '1 s' WHERE claimed_by IS NOT NULL`
const started = (calls: string[]) => database.webhookEvent.count({ where: { callSid: { in: calls }, relayState: 'started' } })

test(`When any events fail in any way (${RUNS} histories), then every other event is sent within a bound, and none is lost`, async () => {
  await fc.assert(fc.asyncProperty(histories, play), { numRuns: RUNS, endOnFailure: true, timeout: 60_000 })
}, 1_200_000)

async function play(history: History): Promise<void> {
  await owner.webhookEvent.deleteMany()
  const plans = new Map<string, Plan>(history.events.map((plan) => [newCallSid(), plan]))
  await database.webhookEvent.createMany({
    data: [...plans.keys()].map((callSid) => ({ source: 'exotel', route: 'x', identity: callSid, callSid, relayState: 'pending' })),
  })
  const temporal = scriptTemporal((callSid, before) => {
    const { answer, times } = plans.get(callSid)!
    return before < times ? answer : 'ok'
  }, HANG_MS)
  temporal.failSystemLooks(history.systemFailures)
  const mortal = mortalDatabase(() => temporal.signals.length >= (history.diesAfter ?? Infinity))
  const relays = [mortal.database, database].map((each) => start(each, temporal))
  const callsThat = (matches: (plan: Plan) => boolean) => [...plans].filter(([, plan]) => matches(plan)).map(([callSid]) => callSid)
  try {
    // No pause ends meanwhile, so that good events do not have to wait for others.
    const goodCalls = callsThat(({ times }) => times === 0)
    let expiredAt = 0
    await eventually('the good events to be started', async () => {
      if (expiredAt === 0 && mortal.isDead()) {
        await mortal.settled()
        expiredAt = temporal.signals.length
        await expireLeases()
      }
      return (await started(goodCalls)) === goodCalls.length
    })
    for (const callSid of goodCalls) assertNotOvertaken(callSid, plans, temporal.signals, expiredAt, history.systemFailures)

    const passing = callsThat(({ times }) => times < Infinity)
    await eventually('the events that stop failing to be started', async () => {
      await endPauses()
      if (mortal.isDead()) await expireLeases() // it may have died in this part
      return (await started(passing)) === passing.length
    })
  } finally {
    await Promise.all(relays.map((relay) => relay.stop()))
  }
  await assertRows(plans, temporal)
}

function start(own: Database, temporal: ScriptedTemporal): Relay {
  return startRelay({
    database: own,
    temporal: temporal.client,
    policy: POLICY,
    pauses: { firstMs: 2, maxMs: 10 },
    limits: LIMITS,
    ready: Promise.resolve(),
    logger: pino({ level: 'silent' }),
  })
}

/** @param expiredAt number of signals before the lease of the dead relay expired: they do not count for events that were due again then */
function assertNotOvertaken(
  callSid: string,
  plans: Map<string, Plan>,
  signals: readonly string[],
  expiredAt: number,
  systemFailures: number,
): void {
  const first = signals.indexOf(callSid)
  const others = signals.slice(first > expiredAt ? expiredAt : 0, first)
  // Each end of a fault of Temporal as a whole ends the pauses of events without a response.
  const pausesEnd = systemFailures > 0 || [...plans.values()].some(({ answer }) => among(FAULTS, answer))
  for (const [other, { answer }] of plans) {
    const bound = pausesEnd && among(NO_RESPONSE, answer) ? OVERTAKES + plans.size : OVERTAKES
    expect(others.filter((each) => each === other).length).toBeLessThanOrEqual(bound)
  }
}

async function assertRows(plans: Map<string, Plan>, temporal: ScriptedTemporal): Promise<void> {
  const rows = await database.webhookEvent.findMany({ select: { callSid: true, relayState: true, relayTries: true, relayWaits: true } })
  expect(rows).toHaveLength(plans.size)
  for (const { callSid, relayState, relayTries, relayWaits } of rows) {
    const { answer, times } = plans.get(callSid!)!
    expect(relayState).toBe(times === Infinity ? 'pending' : 'started')
    expect(temporal.heard(callSid!)).toBe(times !== Infinity)
    if (!among(REFUSALS, answer)) expect(relayTries).toBe(0)
    if (!among(NO_RESPONSE, answer)) expect(relayWaits).toBe(0)
  }
}

/** The database for a process that dies: after its death no statement starts, and no result is returned. */
function mortalDatabase(dies: () => boolean): { database: Database; isDead: () => boolean; settled: () => Promise<void> } {
  const inProgress = new Set<Promise<unknown>>()
  let dead = false
  const isDead = (): boolean => (dead ||= dies())
  const guard =
    (run: (...args: unknown[]) => Promise<unknown>) =>
    async (...args: unknown[]): Promise<unknown> => {
      if (isDead()) throw new Error('The process is dead')
      const statement = run(...args)
      inProgress.add(statement)
      const result = await statement.finally(() => inProgress.delete(statement))
      if (isDead()) throw new Error('The process is dead')
      return result
    }
  const own = {
    $queryRaw: guard((...args) => database.$queryRaw(...(args as Parameters<Database['$queryRaw']>))),
    $executeRaw: guard((...args) => database.$executeRaw(...(args as Parameters<Database['$executeRaw']>))),
  }
  return { database: own as unknown as Database, isDead, settled: async () => void (await Promise.allSettled(inProgress)) }
}
