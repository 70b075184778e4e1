// A Temporal client for tests of the relay. The test chooses the response to each request.
import { ServiceError, type Client } from '@temporalio/client'
import { NamespaceNotFoundError } from '@temporalio/common'

/**
 * The result of one request. `hangs`: no response until the test calls {@link ScriptedTemporal.endHangs}, for at most `hangMs`. `slow`:
 * succeeds at that time.
 */
export type Answer =
  | 'ok'
  | 'slow'
  | 'hangs'
  | 'UNAVAILABLE'
  | 'DEADLINE_EXCEEDED'
  | 'CANCELLED'
  | 'INVALID_ARGUMENT'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'workflow is busy'
  | 'message too large'
  | 'search attribute missing'
  | 'namespace missing'

const GRPC: Record<Exclude<Answer, 'ok' | 'slow' | 'hangs' | 'namespace missing'>, [code: number, details: string]> = {
  UNAVAILABLE: [14, 'shard status unknown'],
  DEADLINE_EXCEEDED: [4, 'Deadline exceeded'],
  CANCELLED: [1, 'call cancelled'],
  INVALID_ARGUMENT: [3, 'Blob data size exceeds limit.'],
  PERMISSION_DENIED: [7, 'Request unauthorized.'],
  RESOURCE_EXHAUSTED: [8, 'namespace rate limit exceeded'],
  'workflow is busy': [8, 'Workflow is busy.'],
  'message too large': [8, 'grpc: received message larger than max (9999999 vs. 4194304)'],
  'search attribute missing': [3, 'Namespace x has no mapping defined for search attribute CallSid'],
}

export interface ScriptedTemporal {
  client: () => Promise<Client>
  /** The CallSid of each signal that was sent, in order. */
  signals: readonly string[]
  /** How many requests have no response now. */
  hanging(): number
  /** How many times `getSystemInfo` was called. */
  systemLooks(): number
  /** Whether a signal of this call succeeded. */
  heard(callSid: string): boolean
  /** The next calls of `getSystemInfo` fail; 0: they succeed again. */
  failSystemLooks(count: number): void
  /** Every request that hangs ends with DEADLINE_EXCEEDED, and every slow one succeeds. */
  endHangs(): void
}

/** @param answer chooses the response by the call and the number of earlier signals of the call */
export function scriptTemporal(answer: (callSid: string, before: number) => Answer, hangMs = 60_000): ScriptedTemporal {
  const signals: string[] = []
  const heard = new Set<string>()
  const hanging = new Set<() => void>()
  let systemFailures = 0
  let systemLooks = 0

  const connection = {
    withDeadline: (_deadline: number, work: () => unknown) => work(),
    workflowService: {
      getSystemInfo: async () => {
        systemLooks += 1
        if (systemFailures === 0) return {}
        systemFailures -= 1
        throw grpcError('UNAVAILABLE')
      },
    },
  }
  const signalWithStart = async (_type: string, { workflowId }: { workflowId: string }): Promise<void> => {
    const callSid = workflowId.replace(/^recording-/, '')
    const before = signals.filter((each) => each === callSid).length
    signals.push(callSid)
    const chosen = answer(callSid, before)
    if (chosen === 'slow' || chosen === 'hangs') await hang()
    if (chosen === 'slow' || chosen === 'ok') return void heard.add(callSid)
    throw failure(chosen === 'hangs' ? 'DEADLINE_EXCEEDED' : chosen)
  }
  const hang = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => end(), hangMs)
      const end = (): void => {
        clearTimeout(timer)
        hanging.delete(end)
        resolve()
      }
      hanging.add(end)
    })
  return {
    client: async () => ({ connection, workflow: { signalWithStart } }) as unknown as Client,
    signals,
    hanging: () => hanging.size,
    systemLooks: () => systemLooks,
    heard: (callSid) => heard.has(callSid),
    failSystemLooks: (count) => void (systemFailures = count),
    endHangs: () => {
      for (const end of hanging) end()
    },
  }
}

function failure(answer: Exclude<Answer, 'ok' | 'slow' | 'hangs'>): Error {
  if (answer === 'namespace missing') return new NamespaceNotFoundError('x')
  return new ServiceError('Failed to signalWithStart Workflow', { cause: grpcError(answer) })
}

function grpcError(answer: keyof typeof GRPC): Error {
  const [code, details] = GRPC[answer]
  return Object.assign(new Error(`${code} ${details}`), { code, details, metadata: {} })
}
