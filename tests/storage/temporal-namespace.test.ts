// The set-up of a namespace on a real Temporal server, and what is known about a run while the server does not respond.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Client, Connection } from '@temporalio/client'
import { RECORDING_WORKFLOW, recordingWorkflowId, SEARCH_ATTRIBUTES } from '../../contracts/names.ts'
import { missingSearchAttributes, setUpTemporal } from '../../temporal/namespace.ts'
import { isRunOpen } from '../../temporal/open-runs.ts'
import { eventually } from '../support/eventually.ts'
import { createNamespace, newCallSid, servers, uniqueName } from '../support/servers.ts'

const DAY_SECONDS = 24 * 3600

let connection: Connection
beforeAll(async () => {
  connection = await Connection.connect({ address: servers.temporal.address })
})
afterAll(() => connection?.close())

const retentionDays = async (namespace: string): Promise<number> => {
  const { config } = await connection.workflowService.describeNamespace({ namespace })
  return Number(config?.workflowExecutionRetentionTtl?.seconds) / DAY_SECONDS
}

describe('When a namespace is set up', () => {
  test('by two processes at the same time, then both succeed, and it keeps closed runs for 30 days and has all search attributes', async () => {
    const namespace = uniqueName('test')
    await Promise.all([setUpTemporal(connection, namespace), setUpTemporal(connection, namespace)])
    await setUpTemporal(connection, namespace)
    expect(await retentionDays(namespace)).toBe(30)
    expect(SEARCH_ATTRIBUTES).toHaveLength(3)
    expect(await missingSearchAttributes(connection, namespace)).toEqual([])
  })

  test.each([
    [1, 30],
    [90, 90],
  ])('that keeps closed runs for %d days, then it keeps them for %d days', async (before, after) => {
    const namespace = uniqueName('test')
    const workflowExecutionRetentionPeriod = { seconds: (before * DAY_SECONDS) as never } // the types want a Long
    await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod })
    await eventually('the namespace to be visible', async () => (await retentionDays(namespace)) === before)
    await setUpTemporal(connection, namespace)
    expect(await retentionDays(namespace)).toBe(after)
  })
})

test('When the run of a call is open, has ended or never started, then only the first counts as open', async () => {
  const { client, close } = await createNamespace()
  const [open, ended, never] = [newCallSid(), newCallSid(), newCallSid()]
  for (const callSid of [open, ended])
    await client.workflow.start(RECORDING_WORKFLOW, { workflowId: recordingWorkflowId(callSid), taskQueue: 'without-workers' })
  await client.workflow.getHandle(recordingWorkflowId(ended)).terminate()
  expect(await Promise.all([open, ended, never].map((callSid) => isRunOpen(client, callSid)))).toEqual([true, false, false])
  await close()
})

test('When Temporal cannot say whether a run is open, then the run does not count as ended, because its files would be deleted', async () => {
  const { client, close } = await createNamespace()
  const ofMissingNamespace = new Client({ connection: client.connection, namespace: uniqueName('missing') })
  await expect(isRunOpen(ofMissingNamespace, newCallSid())).rejects.toThrow()
  await close()
  await expect(isRunOpen(client, newCallSid())).rejects.toThrow()
})
