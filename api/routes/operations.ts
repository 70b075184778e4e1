// What people on duty see first: what waits and fails, the alarms of all processes, the passes and checks, and a way to start one now.
import type { Request } from 'express'
import { z } from 'zod'
import { listActions } from '../../calls/call-history.ts'
import { readMaintenance, readOverview } from '../../calls/overview.ts'
import { ActionRefused, type ActionName } from '../../calls/operator-actions.ts'
import { pipelineHealth } from '../../calls/pipeline-health.ts'
import { SCHEDULES } from '../../contracts/names.ts'
import { listProcesses, type RunningProcess } from '../../platform/process-registry.ts'
import { triggerSchedule } from '../../temporal/schedules.ts'
import { alarmWords } from '../alarm-words.ts'
import { requireRole } from '../middleware/require-role.ts'
import { operation, type Operation } from '../operation.ts'
import { plain } from '../plain.ts'
import { act, actionAnswer, reason, withTemporal, type ActionDependencies } from './call-actions.ts'
import { count, moment, rowId } from './call-parameters.ts'
import { operatorAction, type TemporalUi } from './calls.ts'

export interface OperationsDependencies extends ActionDependencies {
  /** How long Exotel keeps a recording. */
  retentionDays: number
  temporalUi: TemporalUi | undefined
}

const PASSES = 20
const ACTIONS = 100
const DAY_MS = 24 * 3600_000

const text = z.string().nullable()
const alarm = z.strictObject({
  name: z.string(),
  since: moment,
  reasonAt: moment,
  reason: z.string(),
  meaning: z.string(),
  action: z.string().meta({ description: 'What a person can do' }),
  processes: z.array(z.string()).meta({ description: 'The processes that raised it' }),
})
/** A pass through Exotel's list of calls. */
const pass = z.strictObject({
  id: z.string(),
  kind: z.string(),
  from: moment,
  to: moment,
  startedAt: moment,
  endedAt: moment.nullable(),
  complete: z.boolean(),
  pages: count,
  callsSeen: count,
  callsNew: count,
  recordingsNew: count,
  remark: text,
  problem: text,
})
const objectCheck = z.strictObject({
  id: z.string(),
  full: z.boolean(),
  rows: count,
  missing: count,
  objects: count,
  unknown: count,
  adopted: count,
  deleted: count,
  foreign: count,
  surplus: count,
  endedAt: moment,
})
const overview = z.strictObject({
  storedToday: count.meta({ description: 'Since midnight in India' }),
  awaiting: count,
  oldestWait: z.strictObject({ callSid: z.string(), since: moment }).nullable(),
  failing: z.array(z.strictObject({ code: z.string(), state: z.string(), calls: count })),
  deletedSoonest: z
    .array(z.strictObject({ callSid: z.string(), state: z.string(), errorCode: text, at: moment, daysLeft: z.number() }))
    .meta({ description: 'Calls without a stored recording, those first whose recording Exotel deletes soonest' }),
  backlog: z.strictObject({ unrelayed: count, deferred: count, withoutResponse: count, oldestUnrelayedAt: moment.nullable() }),
  lastStoredAt: moment.nullable(),
  stalled: z.boolean(),
  breaker: z.enum(['closed', 'half-open', 'open', 'unknown']).meta({ description: 'The worst circuit breaker of all workers' }),
  lastReconciliation: pass.omit({ id: true, from: true, to: true, pages: true, callsSeen: true, remark: true }).nullable(),
  lastObjectCheck: objectCheck.omit({ id: true, foreign: true, surplus: true }).nullable(),
  lastRecovery: z
    .strictObject({ at: moment, calls: count })
    .nullable()
    .meta({ description: 'When recovery last started a call again, and how many in the last hour' }),
  alarms: z.array(alarm),
  temporalUiUrl: text,
})
const processAnswer = z.strictObject({
  id: z.string(),
  kind: z.enum(['api', 'worker']),
  name: z.string(),
  pid: z.int(),
  version: z.string(),
  state: z.string(),
  breaker: text,
  alarms: z.array(z.strictObject({ name: z.string(), since: moment, reasonAt: moment, reason: z.string() })),
  startedAt: moment,
  seenAt: moment,
})
const passes = z.strictObject({ passes: z.array(pass), checks: z.array(objectCheck) })

/** What a person can start → its schedule and its name in the record of actions. */
const STARTABLE = {
  recovery: [SCHEDULES.recovery, 'start_recovery'],
  reconciliation: [SCHEDULES.reconcile, 'start_reconciliation'],
  'object-check': [SCHEDULES.objectCheck, 'start_object_check'],
} as const satisfies Record<string, readonly [string, ActionName]>

export function operationsOperations(deps: OperationsDependencies): Operation[] {
  const { database, accounts, limits } = deps
  const common = { tag: 'operations', security: 'user', problems: [] } satisfies Partial<Operation>
  const general = limits.perAddress('general')
  const viewer = {
    ...common,
    method: 'get',
    role: 'viewer',
    guards: [general, requireRole(accounts, 'viewer')],
    statuses: [200],
  } satisfies Partial<Operation>
  return [
    operation({
      ...viewer,
      path: '/api/operations/overview',
      summary: 'What is stored, waits and fails, what Exotel deletes soonest, and the alarms of all processes',
      answer: overview,
      handle: () => readOperations(deps),
    }),
    operation({
      ...viewer,
      path: '/api/operations/processes',
      summary: 'The API and worker processes that run, with their alarms',
      answer: z.strictObject({ processes: z.array(processAnswer) }),
      handle: async () => plain({ processes: await listProcesses(database) }),
    }),
    operation({
      ...viewer,
      path: '/api/operations/passes',
      summary: "The newest passes through Exotel's list of calls, and the newest checks of the bucket",
      answer: passes,
      handle: async () => plain(await readMaintenance(database, PASSES)),
    }),
    operation({
      ...viewer,
      path: '/api/operations/actions',
      summary: 'What people did: retries, stops, started passes, changed roles; the newest first',
      query: z.strictObject({ before: rowId.optional() }),
      answer: z.strictObject({ actions: z.array(operatorAction()) }),
      handle: async (_body, _request, _response, { query }) =>
        plain({ actions: await listActions(database, { before: query.before, limit: ACTIONS }) }),
    }),
    operation({
      ...common,
      method: 'post',
      path: '/api/operations/runs',
      summary: 'Starts recovery, a reconciliation or a check of the bucket now, unless it is running',
      role: 'operator',
      guards: [general, requireRole(accounts, 'operator')],
      body: z.strictObject({ what: z.enum(Object.keys(STARTABLE) as (keyof typeof STARTABLE)[]), reason: reason.optional() }),
      statuses: [202],
      answer: actionAnswer,
      problems: ['action_refused', 'temporal_unavailable'],
      handle: async (body, _request: Request, response) => {
        const [schedule, action] = STARTABLE[body.what]
        const result = await act(deps, response, { action, reason: body.reason }, async () => {
          const isStarted = await withTemporal(deps, (temporal) => triggerSchedule(temporal, schedule))
          if (!isStarted) throw new ActionRefused('The schedule does not exist yet: a worker creates it when it starts')
          return 'done'
        })
        return { result }
      },
    }),
  ]
}

/** The overview, with the alarms and circuit breakers of all processes. */
async function readOperations({
  database,
  retentionDays,
  temporalUi,
}: Pick<OperationsDependencies, 'database' | 'retentionDays' | 'temporalUi'>) {
  const facts = await readOverview(database, retentionDays)
  const health = await pipelineHealth(database)
  const processes = await listProcesses(database)
  const { unrelayed, deferred, withoutResponse, oldestUnrelayedAt, lastStoredAt, stalled } = health
  return plain({
    ...facts,
    deletedSoonest: facts.deletedSoonest.map((call) => ({ ...call, daysLeft: Math.floor((call.at.getTime() - Date.now()) / DAY_MS) })),
    backlog: { unrelayed, deferred, withoutResponse, oldestUnrelayedAt },
    lastStoredAt,
    stalled,
    breaker: worstBreaker(processes),
    alarms: alarmsOf(processes),
    temporalUiUrl: temporalUi ? `${temporalUi.url}/namespaces/${encodeURIComponent(temporalUi.namespace)}/workflows` : null,
  })
}

const BREAKERS = ['open', 'half-open', 'closed'] as const

function worstBreaker(processes: RunningProcess[]): (typeof BREAKERS)[number] | 'unknown' {
  return BREAKERS.find((state) => processes.some(({ breaker }) => breaker === state)) ?? 'unknown'
}

/** Each alarm once, with the newest reason and all processes that raised it; the one that lasts longest first. */
function alarmsOf(processes: RunningProcess[]): z.infer<typeof alarm>[] {
  const raised = processes.flatMap((process) => process.alarms.map((each) => ({ ...each, process: `${process.kind} ${process.name}` })))
  const names = [...new Set(raised.map(({ name }) => name))]
  const merged = names.map((name) => {
    const same = raised.filter((each) => each.name === name).toSorted((one, other) => other.reasonAt.localeCompare(one.reasonAt))
    const since = same.map((each) => each.since).toSorted()[0]!
    const [{ reason, reasonAt }] = same as [(typeof same)[number]]
    return { name, since, reason, reasonAt, ...alarmWords(name), processes: [...new Set(same.map(({ process }) => process))] }
  })
  return merged.toSorted((one, other) => one.since.localeCompare(other.since))
}
