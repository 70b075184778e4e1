// Derives the status of a call from an event. Many events describe one leg of the call, such as the phone of an agent. The table with
// its sources is in docs/exotel.md.
import { isFinal, knownStatus, type CallStatus } from '../contracts/call-status.ts'

/** Values of `CallType` after a conversation or a message [support article 48283]. Other values do not mean that the call has ended. */
const COMPLETED_CALL_TYPES: ReadonlySet<string> = new Set(['completed', 'voicemail'])

/** The fields of an event that contain a status, as received. */
export interface StatusFields {
  EventType?: string | undefined
  Status?: string | undefined
  CallStatus?: string | undefined
  CallType?: string | undefined
  DialCallStatus?: string | undefined
  DialWhomNumber?: string | undefined
}

/**
 * The status of the call: from `Status`, else from `CallStatus`, else `completed` if `CallType` or the leg's `DialCallStatus` says so.
 * @param mayEnd false if the event is sent while the call is running, so that a final status cannot be that of the call
 * @returns undefined if the event does not contain the status of the call
 */
export function callStatusOf(fields: StatusFields, { mayEnd }: { mayEnd: boolean }): CallStatus | undefined {
  const candidates = [isAboutLeg(fields) ? undefined : knownStatus(fields.Status), knownStatus(fields.CallStatus), completedBy(fields)]
  return candidates.find((status) => status !== undefined && (mayEnd || !isFinal(status)))
}

/** The `EventType`s of a status callback are `answered` and `terminal`; those of the Connect applet name the agent's number. */
export function isAboutLeg({ EventType, DialWhomNumber }: StatusFields): boolean {
  if (EventType === undefined) return false
  return EventType.toLowerCase() !== 'terminal' || DialWhomNumber !== undefined
}

function completedBy({ CallType, DialCallStatus }: StatusFields): CallStatus | undefined {
  const isCompleted = COMPLETED_CALL_TYPES.has(CallType?.toLowerCase() ?? '') || knownStatus(DialCallStatus) === 'completed'
  return isCompleted ? 'completed' : undefined
}
