// Requests Call Details from Exotel, to find the recording of a call or to renew a link. Each activity sends one request. The activities
// run on the task queue whose rate limit keeps all workers together within Exotel's limit.
import type { CallSid } from '../contracts/call-sid.ts'
import { recordRetryWait } from '../calls/record-retry-wait.ts'
import { advanceStatus, isCallErased, nameRecording } from '../calls/recording-facts.ts'
import type { CallDetails } from '../exotel/api-answers.ts'
import { ExotelAnswerUnknown, ExotelCredentialsRefused, ExotelUnavailable } from '../exotel/api-client.ts'
import { isRunning } from '../contracts/call-status.ts'
import type { FailureCode } from '../contracts/failures.ts'
import type { RenewalResult, CallDetailsAnswer, CallDetailsRequest, SourceRef, RetryWait } from '../contracts/recording.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { asRetryLater, clearSettingsAlarms } from './exotel-api-failures.ts'

type Needs = Pick<Dependencies, 'database' | 'exotelApi' | 'alarms'>

/**
 * Requests Call Details to find out whether the call has a recording. If Exotel names one, its row is created. Otherwise the time of the
 * next request is written to the call's row. For an erased call, no request is sent.
 */
export function createFindRecording(deps: Needs) {
  return async (request: CallDetailsRequest): Promise<CallDetailsAnswer> => {
    const { signal } = currentAttempt()
    const { callSid } = request
    if (await isCallErased(deps.database, callSid)) return { kind: 'erased' }
    const details = await requestDetails(deps, () => deps.exotelApi.callDetails(callSid, signal))
    if (details instanceof Error) {
      const failure = failureOf(details)
      await recordNextRequest(deps, callSid, request.nextRequestAt, { code: failure.code, error: failure.reason })
      return { kind: 'unavailable', ...failure }
    }
    if (details?.source) {
      const named = await nameRecording(deps.database, callSid, details.source)
      return named ? { kind: 'named', sourceUrl: details.source.sourceUrl } : { kind: 'erased' }
    }
    const { status, durationSeconds } = details ?? {}
    await recordNextRequest(deps, callSid, isRunning(status) ? request.nextRequestWhileRunningAt : request.nextRequestAt)
    if (details === undefined) return { kind: 'unknown call' }
    if (status !== undefined) await advanceStatus(deps.database, callSid, status)
    return { kind: 'none', ...(status && { status }), ...(durationSeconds !== undefined && { durationSeconds }) }
  }
}

function failureOf(error: ExotelUnavailable | ExotelCredentialsRefused): { code: FailureCode; reason: string } {
  return error instanceof ExotelCredentialsRefused
    ? { code: 'ExotelUnauthorized', reason: `Exotel refuses the details of this call, although it lists others: ${error.message}` }
    : { code: 'ExotelUnavailable', reason: error.message }
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
 * Requests a pre-signed link to a recording whose download Exotel refused. If Exotel refuses the key for the list of calls too, this raises
 * an alarm and is retried later.
 * @returns whether there is a new link
 */
export function createRenewLink(deps: Needs) {
  return async (source: SourceRef): Promise<RenewalResult> => {
    const { signal } = currentAttempt()
    const { callSid, sourceUrl } = source
    if (await isCallErased(deps.database, callSid)) return { kind: 'refused' }
    const details = await requestDetails(deps, () => deps.exotelApi.callDetailsWithLink(callSid, signal))
    if (details instanceof ExotelCredentialsRefused) return { kind: 'refused' }
    if (details instanceof Error) return { kind: 'unavailable' }
    const named = details?.source
    if (named?.fetchUrl === undefined || named.sourceUrl !== sourceUrl) return { kind: 'refused' }
    return { kind: (await nameRecording(deps.database, callSid, named)) ? 'renewed' : 'refused' }
  }
}

/**
 * Returns {@link ExotelUnavailable}, and a refusal of this call only, instead of throwing them, because the workflow decides what follows.
 * Other errors of the API are retried later. Undefined: Exotel does not know the call. If wrong settings would lead to the same answer,
 * the list of calls decides what it means.
 */
async function requestDetails(
  deps: Needs,
  request: () => Promise<CallDetails | undefined>,
): Promise<CallDetails | ExotelUnavailable | ExotelCredentialsRefused | undefined> {
  try {
    const answer = await request().catch(asAnswer)
    if (answer === undefined || answer instanceof Error) await deps.exotelApi.confirmAccount(currentAttempt().signal)
    clearSettingsAlarms(deps)
    return answer
  } catch (error) {
    if (error instanceof ExotelUnavailable) return error
    throw asRetryLater(deps, error)
  }
}

/** Returns the errors that may concern one call only. */
function asAnswer(error: unknown): ExotelAnswerUnknown | ExotelCredentialsRefused {
  if (error instanceof ExotelAnswerUnknown || error instanceof ExotelCredentialsRefused) return error
  throw error
}
