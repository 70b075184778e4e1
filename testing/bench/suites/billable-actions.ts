// Billable actions of one recording on Temporal Cloud, counted from the history of its run.
import { Client, Connection } from '@temporalio/client'
import { setTimeout as pause } from 'node:timers/promises'
import { recordingWorkflowId } from '../../../contracts/names.ts'
import type { BenchStack } from '../bench-stack.ts'
import type { Result } from '../numbers.ts'
import { startProduct } from '../product.ts'

/**
 * Signal-with-start is one action. So are each attempt of an activity, each timer, each update of search attributes, each further signal,
 * and all local activities of one workflow task together. https://docs.temporal.io/cloud/actions
 */
export async function countActions(stack: BenchStack, { dist }: { dist: string }): Promise<Result> {
  return { linkInEnd: await actionsOfOne(stack, { dist }), linkLater: await actionsOfOne(stack, { dist, linkAfterMs: 1000 }) }
}

async function actionsOfOne(stack: BenchStack, options: { dist: string; linkAfterMs?: number }): Promise<Result> {
  const product = await startProduct(stack, options)
  const connection = await Connection.connect({ address: stack.servers.temporal.address })
  try {
    const client = new Client({ connection, namespace: stack.servers.temporal.namespace })
    const callSid = stack.newCallSid()
    await product.submit(callSid)
    while ((await product.stored([callSid])).length === 0) await pause(20)
    const run = client.workflow.getHandle(recordingWorkflowId(callSid))
    await run.result()
    const { events } = await run.fetchHistory()
    return actionsIn(events ?? [])
  } finally {
    await connection.close()
    await product.stop()
  }
}

type HistoryEvent = NonNullable<Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>['events']>[number]

function actionsIn(events: HistoryEvent[]): Result {
  const count = (has: (event: HistoryEvent) => unknown): number => events.filter(has).length
  const signals = count((event) => event.workflowExecutionSignaledEventAttributes)
  const localSteps = new Set(
    events.flatMap(({ markerRecordedEventAttributes: marker }) =>
      marker?.markerName === 'core_local_activity' ? [String(marker.workflowTaskCompletedEventId)] : [],
    ),
  ).size
  const actions = {
    startAndSignals: Math.max(1, signals), // the first signal and the start are one action
    activities: count((event) => event.activityTaskScheduledEventAttributes),
    workflowTasksWithLocalActivities: localSteps,
    timers: count((event) => event.timerStartedEventAttributes),
    searchAttributes: count((event) => event.upsertWorkflowSearchAttributesEventAttributes),
  }
  return { ...actions, sum: Object.values(actions).reduce((sum, each) => sum + each, 0) }
}
