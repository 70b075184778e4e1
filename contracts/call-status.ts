// The statuses of a call that Exotel documents [developer.exotel.com, status callback and Call Details].

const RUNNING = ['queued', 'ringing', 'in-progress'] as const
/** A call that nobody answered has no recording. */
const UNANSWERED = ['busy', 'no-answer', 'failed', 'canceled'] as const
export type CallStatus = (typeof RUNNING)[number] | (typeof UNANSWERED)[number] | 'completed'

/** @returns the status in lower case, or undefined if Exotel does not document it */
export function knownStatus(raw: string | undefined): CallStatus | undefined {
  const status = raw?.trim().toLowerCase()
  return status === 'completed' || isRunning(status) || isUnanswered(status) ? status : undefined
}

/** The call has not ended. */
export function isRunning(status: string | undefined): status is (typeof RUNNING)[number] {
  return RUNNING.some((each) => each === status)
}

export function isUnanswered(status: string | undefined): status is (typeof UNANSWERED)[number] {
  return UNANSWERED.some((each) => each === status)
}

/** The call has ended. */
export function isFinal(status: CallStatus | undefined): boolean {
  return status === 'completed' || isUnanswered(status)
}
