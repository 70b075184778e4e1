// The Temporal namespace with its retention, and the search attributes that starts and the Web UI need.
import { isGrpcServiceError, type Connection } from '@temporalio/client'
import { setTimeout as pause } from 'node:timers/promises'
import { SEARCH_ATTRIBUTES } from '../contracts/names.ts'

const RETENTION_SECONDS = 30 * 24 * 3600
const VISIBLE_WITHIN_MS = 30_000
const ALREADY_EXISTS = 6
const NOT_FOUND = 5
/** `temporal.api.enums.v1.IndexedValueType` */
const KEYWORD = 2

/** Makes what is missing; safe to run again, and twice at once. */
export async function setUpTemporal(connection: Connection, namespace: string): Promise<void> {
  await ensureNamespace(connection, namespace)
  const missing = await onceVisible(() => missingSearchAttributes(connection, namespace))
  if (missing.length > 0) await addSearchAttributes(connection, namespace, missing)
}

export async function addSearchAttributes(connection: Connection, namespace: string, names: string[]): Promise<void> {
  const searchAttributes = Object.fromEntries(names.map((name) => [name, KEYWORD]))
  await connection.operatorService.addSearchAttributes({ namespace, searchAttributes }).catch(unless(ALREADY_EXISTS))
}

/** Names of those search attributes of ours that the namespace lacks. */
export async function missingSearchAttributes(connection: Pick<Connection, 'operatorService'>, namespace: string): Promise<string[]> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace })
  return SEARCH_ATTRIBUTES.filter((name) => !(name in (customAttributes ?? {})))
}

async function ensureNamespace(connection: Connection, namespace: string): Promise<void> {
  const retention = { seconds: RETENTION_SECONDS as never } // the wire takes a number where the types want a Long
  try {
    const { config } = await connection.workflowService.describeNamespace({ namespace })
    if (Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) >= RETENTION_SECONDS) return
    await connection.workflowService.updateNamespace({ namespace, config: { workflowExecutionRetentionTtl: retention } })
  } catch (error) {
    unless(NOT_FOUND)(error)
    await connection.workflowService
      .registerNamespace({ namespace, workflowExecutionRetentionPeriod: retention })
      .catch(unless(ALREADY_EXISTS))
  }
}

/** A new namespace is known to all of the server only after its caches' next look. */
async function onceVisible<T>(ask: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + VISIBLE_WITHIN_MS; ; await pause(100)) {
    try {
      return await ask()
    } catch (error) {
      if (Date.now() > deadline) throw error
      unless(NOT_FOUND)(error)
    }
  }
}

function unless(code: number): (error: unknown) => void {
  return (error) => {
    if (!isGrpcServiceError(error) || error.code !== code) throw error
  }
}
