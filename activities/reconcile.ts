// Reads Exotel's list of ended calls page by page and ingests unknown calls and recordings. Each activity sends one request to Exotel.
import type { CallSid } from '../contracts/call-sid.ts'
import {
  countBackfillBacklog,
  startReconcilePass,
  ingestListedCalls,
  listCallsWithoutLink,
  finishReconcilePass,
  recordPassProblem,
  insertPass,
  type EndedCallEvent,
} from '../calls/reconcile.ts'
import type { CallsPage, ListedCall } from '../exotel/api-answers.ts'
import { isEmpty } from '../exotel/api-client.ts'
import { counter } from '../platform/metrics.ts'
import type { ListPage, ListRequest, Pass, PassEnd, PassRequest } from '../contracts/maintenance.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { clearCredentialsAlarm, clearSettingsAlarms, listFailure } from './exotel-api-failures.ts'

type Needs = Pick<Dependencies, 'database' | 'exotelApi' | 'alarms' | 'logger'>

const INCOMPLETE_ALARM = 'ReconciliationIncomplete'
const BACKFILL_ALARM = 'BackfillIncomplete'
const LINKS_IN_ONE_SWEEP = 100
/** Exotel recommends at most 20 ids in a request. */
const SIDS_IN_ONE_REQUEST = 20

const ingested = counter('reconciled_total', 'Calls and recordings that reconciliation and backfill ingested', ['source', 'kind'])

export function createReconcileActivities(deps: Needs) {
  const { database, exotelApi, alarms, logger } = deps
  return {
    /** Creates the row of the pass and returns its time window. */
    async startReconcilePass(request: PassRequest): Promise<Pass> {
      const { idempotencyKey } = currentAttempt()
      const { passId, from, to } =
        request.kind === 'backfill'
          ? await insertPass(database, 'backfill', idempotencyKey, { from: new Date(request.from), to: new Date(request.to) })
          : await startReconcilePass(database, request.kind, idempotencyKey)
      return { passId, from: from.toISOString(), to: to.toISOString() }
    },

    /** Reads one page and ingests what is new. If the request fails, the reason is written to the row of the pass. */
    async readListPage({ passId, source, from, to, after }: ListRequest): Promise<ListPage> {
      const page = await exotelApi
        .listCalls({ kind: 'window', from: new Date(from), to: new Date(to) }, after, currentAttempt().signal)
        .catch(async (error: unknown) => {
          const failure = await listFailure(deps, error)
          await recordPassProblem(database, passId, `Waiting for Exotel: ${(error as Error).message}`)
          throw failure
        })
      await recordPassProblem(database, passId, null)
      return ingestPage(source, page)
    },

    async finishReconcilePass(end: PassEnd): Promise<void> {
      const alarm = (await finishReconcilePass(database, end)) === 'backfill' ? BACKFILL_ALARM : INCOMPLETE_ALARM
      logger[end.problem ? 'error' : 'info'](end, end.problem ? 'Reconciliation pass incomplete' : 'Reconciliation pass complete')
      if (end.problem) return alarms.raise(alarm, end.problem)
      alarms.clear(alarm)
    },

    /** Returns the ids of calls that wait for a link, split into the ids of each request. */
    async listCallsWithoutLink(): Promise<CallSid[][]> {
      const callSids = await listCallsWithoutLink(database, LINKS_IN_ONE_SWEEP)
      return Array.from({ length: Math.ceil(callSids.length / SIDS_IN_ONE_REQUEST) }, (_, index) =>
        callSids.slice(index * SIDS_IN_ONE_REQUEST, (index + 1) * SIDS_IN_ONE_REQUEST),
      )
    },

    /** @returns the number of new links */
    async sweepLinks(callSids: CallSid[]): Promise<number> {
      const { signal } = currentAttempt()
      const page = await exotelApi.listCalls({ kind: 'calls', callSids }, undefined, signal).catch(async (error: unknown) => {
        throw await listFailure(deps, error)
      })
      return (await ingestPage('reconcile', page)).recordingsNew
    },

    countBackfillBacklog: (): Promise<number> => countBackfillBacklog(database),
  }

  async function ingestPage(source: 'reconcile' | 'backfill', page: CallsPage): Promise<ListPage> {
    if (isEmpty(page)) clearCredentialsAlarm(deps)
    else clearSettingsAlarms(deps)
    const result = await ingestListedCalls(database, source, page.calls.map(eventOf))
    ingested.inc({ source, kind: 'call' }, result.callsNew)
    ingested.inc({ source, kind: 'recording' }, result.recordingsNew)
    const { calls, unusable, next, total, isPagingKnown } = page
    return {
      ...result,
      calls: calls.length,
      unusable,
      isPagingKnown,
      ...(next !== undefined && { next }),
      ...(total !== undefined && { total }),
    }
  }
}

function eventOf({ source, ...call }: ListedCall): EndedCallEvent {
  return { ...call, sources: source ? [source] : [] }
}
