// The proxy before a real Temporal server: starts of the planned workflows fail, and all other requests are forwarded.
import { Client, Connection, isGrpcServiceError, ServiceError } from '@temporalio/client'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { WorkflowFault } from '../../testing/chaos/plan.ts'
import { startTcpProxy, type TcpProxy } from '../../testing/chaos/tcp-proxy.ts'
import { startTemporalProxy, type TemporalProxy } from '../../testing/chaos/temporal-proxy.ts'
import { recordingWorkflowId } from '../../contracts/names.ts'
import { eventually } from '../support/eventually.ts'
import { createNamespace, newCallSid, servers } from '../support/servers.ts'

const workflowFaults = new Map<string, WorkflowFault>()
const UNAVAILABLE = 14
const DEADLINE_EXCEEDED = 4
let namespace: Awaited<ReturnType<typeof createNamespace>>
let proxy: TemporalProxy
let line: TcpProxy
let connection: Connection
let client: Client

beforeAll(async () => {
  namespace = await createNamespace()
  proxy = await startTemporalProxy(servers.temporal.address, workflowFaults)
  line = await startTcpProxy('127.0.0.1', proxy.port)
  // The client's own retries would last longer than a short fault.
  connection = await Connection.connect({ address: `127.0.0.1:${line.port}`, interceptors: [] })
  client = new Client({ connection, namespace: namespace.namespace })
})
afterAll(async () => {
  await connection?.close()
  await line?.close()
  await proxy?.close()
  await namespace?.close()
})

/** @returns the gRPC code of the error; undefined if the workflow was started */
async function start(callSid: string, deadlineMs = 10_000): Promise<number | undefined> {
  try {
    await connection.withDeadline(Date.now() + deadlineMs, () =>
      client.workflow.signalWithStart('RecordingWorkflow', {
        workflowId: recordingWorkflowId(callSid),
        taskQueue: 'of-nobody',
        signal: 'news',
        args: [{ text: 'x'.repeat(200_000) }],
      }),
    )
    return undefined
  } catch (error) {
    const cause = error instanceof ServiceError ? error.cause : error
    if (isGrpcServiceError(cause)) return cause.code
    throw error
  }
}

test('When no fault is planned for a workflow, then it starts, and all other requests reach Temporal', async () => {
  const callSid = newCallSid()
  expect(await start(callSid)).toBeUndefined()
  const description = await client.workflow.getHandle(recordingWorkflowId(callSid)).describe()
  expect([description.status.name, description.historyLength]).toEqual(['RUNNING', 3])
  await expect(client.workflow.getHandle(recordingWorkflowId(newCallSid())).describe()).rejects.toThrow(/not found/)
})

test('When the fault is unavailable, then the start fails, other workflows start meanwhile, and this one starts after the fault', async () => {
  const [faulty, other] = [newCallSid(), newCallSid()]
  workflowFaults.set(faulty, { what: 'unavailable', forMs: 1500 })
  expect(await start(faulty)).toBe(UNAVAILABLE)
  expect(await start(other)).toBeUndefined()
  await eventually('the fault to end', async () => (await start(faulty)) === undefined)
})

test('When the fault is hang, then the deadline passes, other workflows start meanwhile, and this one starts after the fault', async () => {
  const [faulty, other] = [newCallSid(), newCallSid()]
  workflowFaults.set(faulty, { what: 'hang', forMs: 1500 })
  const hanging = start(faulty, 1000)
  expect(await start(other)).toBeUndefined()
  expect(await hanging).toBe(DEADLINE_EXCEEDED)
  await eventually('the fault to end', async () => (await start(faulty, 1000)) === undefined)
})

test('When the connection to the proxy is interrupted, then starts fail, and they succeed after it is restored', async () => {
  line.cut()
  expect(await start(newCallSid(), 1000)).toBeDefined()
  line.restore()
  await eventually('a workflow to start', async () => (await start(newCallSid(), 2000)) === undefined)
})
