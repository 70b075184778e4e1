import { isGrpcServiceError, ServiceError } from '@temporalio/client'
import { NamespaceNotFoundError, WorkflowNotFoundError } from '@temporalio/common'

/**
 * Why a signal-with-start failed, and what happens then to the event (calls/relay-events.ts).
 * `temporal_fault`: every event would fail in the same way. The relay pauses, and `releaseEvents` releases the event.
 * `refused`: Temporal refused this event only. `deferEvents` defers it.
 * `no_response`: no usable response. The caller has to check whether Temporal as a whole responds. If it does, `recordNoResponse` delays the
 * event; if not, this is a `temporal_fault`.
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

/** gRPC codes that concern a single request. */
const REFUSALS = new Set([
  6, // ALREADY_EXISTS
  9, // FAILED_PRECONDITION
  11, // OUT_OF_RANGE
  15, // DATA_LOSS
])
/** Messages of RESOURCE_EXHAUSTED for a limit of one workflow or one message, not of the namespace or the cluster. */
const OWN_LIMIT = /workflow is busy|message larger than max/i
/** Messages of INTERNAL that a proxy or the transport reports because the server did not respond. [grpc-js, and the SDK's retry interceptor] */
const TRANSPORT_ERROR = /RST_STREAM|without gRPC status/i
const SETUP = 'run `npm run temporal:setup`'

/** @param error from a signal-with-start. It starts a workflow that does not exist, so "not found" can only mean the namespace. */
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
