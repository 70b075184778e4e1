// Creates the Temporal namespace with its retention, and the search attributes that workflow starts and the Web UI need.
import { isGrpcServiceError, type Connection } from '@temporalio/client'
import { setTimeout as pause } from 'node:timers/promises'
import { SEARCH_ATTRIBUTES } from '../contracts/names.ts'

const RETENTION_SECONDS = 30 * 24 * 3600
const VISIBLE_WITHIN_MS = 30_000
const ALREADY_EXISTS = 6
const NOT_FOUND = 5
/** `temporal.api.enums.v1.IndexedValueType` */
const KEYWORD = 2

/** Creates what is missing. It can run repeatedly, also twice at the same time. */
export async function setUpTemporal(connection: Connection, namespace: string): Promise<void> {
  await ensureNamespace(connection, namespace)
  const missing = await onceVisible(() => missingSearchAttributes(connection, namespace))
  if (missing.length > 0) await addSearchAttributes(connection, namespace, missing)
}

export async function addSearchAttributes(connection: Connection, namespace: string, names: string[]): Promise<void> {
  const searchAttributes = Object.fromEntries(names.map((name) => [name, KEYWORD]))
  await connection.operatorService.addSearchAttributes({ namespace, searchAttributes }).catch(unless(ALREADY_EXISTS))
}

/** @returns the names of our search attributes that the namespace does not have */
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

/** Retries while the namespace is not found: a new namespace is visible in all of the server only after its caches are refreshed. */
async function onceVisible<T>(request: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + VISIBLE_WITHIN_MS; ; await pause(100)) {
    try {
      return await request()
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
