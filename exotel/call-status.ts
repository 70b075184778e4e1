// What an event says about the status of its call. Many events describe one leg of the call, such as the phone of an agent: docs/exotel.md
// has the table with its sources.
import { isFinal, knownStatus, type CallStatus } from '../contracts/call-status.ts'

/** Values of `CallType` after a conversation or a message [support article 48283]. The others do not say that the call is over. */
const COMPLETED_CALL_TYPES: ReadonlySet<string> = new Set(['completed', 'voicemail'])

/** The fields of an event that speak of a status, as they came. */
export interface StatusFields {
  EventType?: string | undefined
  Status?: string | undefined
  CallStatus?: string | undefined
  CallType?: string | undefined
  DialCallStatus?: string | undefined
  DialWhomNumber?: string | undefined
}

/**
 * The status of the call: from `Status`, else from `CallStatus`, else `completed` where `CallType` or the leg's `DialCallStatus` says so.
 * @param mayEnd false where the event comes while the call is running, so that no final status can be the call's
 * @returns undefined where the event does not tell
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
