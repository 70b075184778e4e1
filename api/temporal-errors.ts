import { isGrpcServiceError, ServiceError } from '@temporalio/client'
import { NamespaceNotFoundError, WorkflowNotFoundError } from '@temporalio/common'

/**
 * `temporal`: wrong with Temporal as a whole, every event would fail the same. `event`: this one alone is refused. `either`: no
 * answer in time, and only how others fare tells which.
 */
export interface TemporalTrouble {
  of: 'temporal' | 'event' | 'either'
  reason: string
}

/** gRPC codes that say something about the one request. */
const CODES_OF_AN_EVENT = new Set([
  3, // INVALID_ARGUMENT
  6, // ALREADY_EXISTS
  9, // FAILED_PRECONDITION
  11, // OUT_OF_RANGE
  13, // INTERNAL
  15, // DATA_LOSS
])
const DEADLINE_EXCEEDED = 4
const RESOURCE_EXHAUSTED = 8
const INVALID_ARGUMENT = 3

/** What a signal-with-start threw: it finds or makes its workflow, so that only the namespace can be "not found". */
export function classifyTemporalError(error: unknown): TemporalTrouble {
  if (error instanceof NamespaceNotFoundError || error instanceof WorkflowNotFoundError) {
    return { of: 'temporal', reason: `${error.message}: run \`npm run temporal:setup\`` }
  }
  const grpc = grpcErrorIn(error)
  if (!grpc) return { of: 'event', reason: error instanceof Error ? error.message : String(error) }
  const reason = grpc.details || grpc.message
  if (grpc.code === INVALID_ARGUMENT && /search attribute/i.test(reason)) {
    return { of: 'temporal', reason: `${reason}: run \`npm run temporal:setup\`` }
  }
  // One workflow that gets too many signals at once is that workflow's trouble.
  if (grpc.code === RESOURCE_EXHAUSTED && /workflow is busy/i.test(reason)) return { of: 'event', reason }
  if (grpc.code === DEADLINE_EXCEEDED) return { of: 'either', reason }
  return { of: CODES_OF_AN_EVENT.has(grpc.code) ? 'event' : 'temporal', reason }
}

function grpcErrorIn(error: unknown): { code: number; details: string; message: string } | undefined {
  const inner = error instanceof ServiceError ? error.cause : error
  return isGrpcServiceError(inner) ? inner : undefined
}
