// Exotel's Call Details: does the call have a recording, and may we have it? One request an activity, on the queue that
// keeps the whole fleet within Exotel's limit.
import type { CallSid } from '../contracts/call-sid.ts'
import { recordRetryWait } from '../calls/record-retry-wait.ts'
import { advanceStatus, isCallErased, nameRecording } from '../calls/recording-facts.ts'
import type { CallDetails } from '../exotel/api-answers.ts'
import { ExotelUnavailable } from '../exotel/api-client.ts'
import { isRunning } from '../contracts/call-status.ts'
import type { RenewalResult, CallDetailsAnswer, CallDetailsRequest, SourceRef, RetryWait } from '../contracts/recording.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { asRetryLater, clearSettingsAlarms } from './exotel-failures.ts'

type Needs = Pick<Dependencies, 'database' | 'exotelApi' | 'alarms'>

/**
 * Asks whether Exotel names a recording for the call; a named one gets its row, else the call's row says when it is asked again.
 * For an erased call Exotel is not asked.
 */
export function createFindRecording(deps: Needs) {
  return async (request: CallDetailsRequest): Promise<CallDetailsAnswer> => {
    const { signal } = currentAttempt()
    const { callSid } = request
    if (await isCallErased(deps.database, callSid)) return { kind: 'erased' }
    const details = await ask(deps, () => deps.exotelApi.callDetails(callSid, signal))
    if (!(details instanceof ExotelUnavailable) && details?.source) {
      const named = await nameRecording(deps.database, callSid, details.source)
      return named ? { kind: 'named', sourceUrl: details.source.sourceUrl } : { kind: 'erased' }
    }
    if (details instanceof ExotelUnavailable) {
      await recordNextRequest(deps, request.callSid, request.nextRequestAt, { code: 'ExotelUnavailable', error: details.message })
      return { kind: 'unavailable', reason: details.message }
    }
    const { status, durationSeconds } = details ?? {}
    await recordNextRequest(deps, callSid, isRunning(status) ? request.nextRequestWhileRunningAt : request.nextRequestAt)
    if (details === undefined) return { kind: 'unknown call' }
    if (status !== undefined) await advanceStatus(deps.database, callSid, status)
    return { kind: 'none', ...(status && { status }), ...(durationSeconds !== undefined && { durationSeconds }) }
  }
}

async function recordNextRequest(
  { database }: Needs,
  callSid: CallSid,
  nextTryAt: string | undefined,
  reason?: RetryWait['reason'],
): Promise<void> {
  if (nextTryAt !== undefined) await recordRetryWait(database, { callSid, nextTryAt, ...(reason && { reason }) })
}

/**
 * A recording was refused to us: asks for a pre-signed link to it. Waits, with an alarm, while Exotel refuses our key
 * altogether.
 * @returns whether there is a new link to try
 */
export function createRenewLink(deps: Needs) {
  return async (source: SourceRef): Promise<RenewalResult> => {
    const { signal } = currentAttempt()
    const { callSid, sourceUrl } = source
    if (await isCallErased(deps.database, callSid)) return { kind: 'refused' }
    const details = await ask(deps, () => deps.exotelApi.callDetailsWithLink(callSid, signal))
    if (details instanceof ExotelUnavailable) return { kind: 'unavailable' }
    const named = details?.source
    if (named?.fetchUrl === undefined || named.sourceUrl !== sourceUrl) return { kind: 'refused' }
    return { kind: (await nameRecording(deps.database, callSid, named)) ? 'renewed' : 'refused' }
  }
}

/** "Unavailable" is an answer here, which the workflow judges; everything else is waited for. Undefined: Exotel does not know the call. */
async function ask(deps: Needs, request: () => Promise<CallDetails | undefined>): Promise<CallDetails | ExotelUnavailable | undefined> {
  try {
    const details = await request()
    if (details === undefined) await deps.exotelApi.confirmAccount(currentAttempt().signal)
    clearSettingsAlarms(deps)
    return details
  } catch (error) {
    if (error instanceof ExotelUnavailable) return error
    throw asRetryLater(deps, error)
  }
}
