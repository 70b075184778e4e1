// Derives the status of a call from an event. Many events describe one leg of the call, such as the phone of an agent. The table with
// its sources is in docs/exotel.md.
import { isFinal, knownStatus, type CallStatus } from '../contracts/call-status.ts'
import { textsIn, type Fields, type FieldValue } from './decode-fields.ts'

/** Values of `CallType` after a conversation or a message [support article 48283]. Other values do not mean that the call has ended. */
const COMPLETED_CALL_TYPES: ReadonlySet<string> = new Set(['completed', 'voicemail'])

/** The fields of an event that contain a status, as received. */
export interface StatusFields {
  Status?: string | undefined
  CallStatus?: string | undefined
  CallType?: string | undefined
  DialCallStatus?: string | undefined
}

/**
 * The status of the call: from `Status`, else from `CallStatus`, else `completed` if `CallType` or the leg's `DialCallStatus` says so.
 * @param aboutLeg true if `Status` is that of a leg, see {@link isAboutLeg}
 * @param mayEnd false if the event is sent while the call is running, so that a final status cannot be that of the call
 * @returns undefined if the event does not contain the status of the call
 */
export function callStatusOf(fields: StatusFields, { aboutLeg, mayEnd }: { aboutLeg: boolean; mayEnd: boolean }): CallStatus | undefined {
  const candidates = [aboutLeg ? undefined : knownStatus(fields.Status), knownStatus(fields.CallStatus), completedBy(fields)]
  return candidates.find((status) => status !== undefined && (mayEnd || !isFinal(status)))
}

/**
 * True if one value of `EventType` is not `terminal`: those of a status callback are `answered` and `terminal`. Events of the Connect
 * applet name the agent's number beside `EventType` or `Status`. Passthru names it, too, but has neither of these fields.
 */
export function isAboutLeg({ EventType = [], DialWhomNumber = [], Status = [] }: Fields): boolean {
  const types = givenTexts(EventType)
  const namesAgent = givenTexts(DialWhomNumber).length > 0 && [...types, ...givenTexts(Status)].length > 0
  return namesAgent || types.some((type) => type.toLowerCase() !== 'terminal')
}

/** The texts of a field that is given once, several times or nested. */
function givenTexts(value: FieldValue): string[] {
  return textsIn(value)
    .map((text) => text.trim())
    .filter((text) => text !== '')
}

function completedBy({ CallType, DialCallStatus }: StatusFields): CallStatus | undefined {
  const isCompleted = COMPLETED_CALL_TYPES.has(CallType?.toLowerCase() ?? '') || knownStatus(DialCallStatus) === 'completed'
  return isCompleted ? 'completed' : undefined
}
