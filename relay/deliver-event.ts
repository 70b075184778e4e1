// Sends one event to Temporal, and classifies the result: about this event, or about Temporal as a whole.
import { isGrpcServiceError, type Client } from '@temporalio/client'
import type { ClaimedEvent } from '../calls/relay-events.ts'
import type { RecordingPolicy } from '../contracts/recording.ts'
import { classifyTemporalError, type TemporalFault } from './classify-temporal-error.ts'
import { signalRecordingWorkflow } from './signal-workflow.ts'

/** `nothing_new`: no workflow has to receive the event. For the others see {@link TemporalFault}. */
export type DeliveryOutcome = { kind: 'started' } | { kind: 'nothing_new' } | TemporalFault

export interface DeliveryDependencies {
  temporal: () => Promise<Client>
  policy: RecordingPolicy
  systemFault: SystemCheck
}

/** Resolves with the reason why Temporal as a whole does not respond, or with undefined if it responds. */
export type SystemCheck = () => Promise<string | undefined>

const SYSTEM_CHECK_DEADLINE_MS = 3000
const UNIMPLEMENTED = 12

/** Sends the event's signal outside any transaction. Never throws. */
export async function deliverEvent({ temporal, policy, systemFault }: DeliveryDependencies, event: ClaimedEvent): Promise<DeliveryOutcome> {
  if (event.bringsNothingNew) return { kind: 'nothing_new' }
  let client: Client
  try {
    client = await temporal()
  } catch (error) {
    return { kind: 'temporal_fault', reason: unreachable(error) }
  }
  try {
    await signalRecordingWorkflow(client, event, policy)
    return { kind: 'started' }
  } catch (error) {
    const fault = classifyTemporalError(error)
    if (fault.kind !== 'no_response') return fault
    const reason = await systemFault()
    return reason === undefined ? fault : { kind: 'temporal_fault', reason }
  }
}

/** Calls `getSystemInfo`. Checks that start while one is in progress share its result. */
export function createSystemCheck(temporal: () => Promise<Client>): SystemCheck {
  let current: Promise<string | undefined> | undefined
  const check = async (): Promise<string | undefined> => {
    try {
      const { connection } = await temporal()
      await connection.withDeadline(Date.now() + SYSTEM_CHECK_DEADLINE_MS, () => connection.workflowService.getSystemInfo({}))
      return undefined
    } catch (error) {
      const isOldServer = isGrpcServiceError(error) && error.code === UNIMPLEMENTED
      return isOldServer ? undefined : unreachable(error)
    } finally {
      current = undefined
    }
  }
  return () => (current ??= check())
}

function unreachable(error: unknown): string {
  return `Temporal does not respond: ${error instanceof Error ? error.message : String(error)}`
}
