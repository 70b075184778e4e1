import { isGrpcServiceError, ServiceError } from '@temporalio/client'
import { NamespaceNotFoundError, WorkflowNotFoundError } from '@temporalio/common'

/**
 * Why a signal-with-start failed. `temporal_fault`: Temporal as a whole, every event would fail the same. `refused`: this event alone.
 * `no_response`: nobody processed the request; whether Temporal as a whole responds has to be found out.
 */
export interface TemporalFault {
  kind: 'temporal_fault' | 'refused' | 'no_response'
  reason: string
}

const INVALID_ARGUMENT = 3
const PERMISSION_DENIED = 7
const RESOURCE_EXHAUSTED = 8
const INTERNAL = 13
const UNAUTHENTICATED = 16

/** gRPC codes that say something about the one request. */
const REFUSALS = new Set([
  6, // ALREADY_EXISTS
  9, // FAILED_PRECONDITION
  11, // OUT_OF_RANGE
  15, // DATA_LOSS
])
/** RESOURCE_EXHAUSTED that is about one workflow or one message, not about a limit of the namespace or the cluster. */
const OWN_LIMIT = /workflow is busy|message larger than max/i
/** INTERNAL that a proxy or the transport reports: the server did not answer. [grpc-js, and the retry interceptor of the SDK] */
const TRANSPORT_ERROR = /RST_STREAM|without gRPC status/i
const SETUP = 'run `npm run temporal:setup`'

/** What a signal-with-start threw. It finds or starts its workflow, so that only the namespace can be missing. */
export function classifyTemporalError(error: unknown): TemporalFault {
  if (error instanceof NamespaceNotFoundError || (error instanceof WorkflowNotFoundError && /namespace/i.test(error.message))) {
    return { kind: 'temporal_fault', reason: `${error.message}: ${SETUP}` }
  }
  if (error instanceof WorkflowNotFoundError) return { kind: 'no_response', reason: error.message }
  const grpc = grpcErrorIn(error)
  if (!grpc) return { kind: 'refused', reason: error instanceof Error ? error.message : String(error) }
  const reason = grpc.details || grpc.message
  switch (grpc.code) {
    case UNAUTHENTICATED:
    case PERMISSION_DENIED:
      return { kind: 'temporal_fault', reason }
    case RESOURCE_EXHAUSTED:
      return { kind: OWN_LIMIT.test(reason) ? 'refused' : 'temporal_fault', reason }
    case INVALID_ARGUMENT:
      return /search attribute/i.test(reason) ? { kind: 'temporal_fault', reason: `${reason}: ${SETUP}` } : { kind: 'refused', reason }
    case INTERNAL:
      return { kind: TRANSPORT_ERROR.test(reason) ? 'no_response' : 'refused', reason }
    default:
      return { kind: REFUSALS.has(grpc.code) ? 'refused' : 'no_response', reason }
  }
}

function grpcErrorIn(error: unknown): { code: number; details: string; message: string } | undefined {
  const inner = error instanceof ServiceError ? error.cause : error
  return isGrpcServiceError(inner) ? inner : undefined
}
