import {
  ExotelAccountNotFound,
  ExotelAnswerUnknown,
  ExotelCredentialsRefused,
  ExotelRateLimited,
  ExotelUnavailable,
} from '../exotel/api-client.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { RetryLater } from './failures.ts'

const CREDENTIALS_ALARM = 'ExotelCredentialsRefused'
const ACCOUNT_ALARM = 'ExotelAccountNotFound'

/** Call this after Exotel has returned a call or a list with a call, which proves that address, account and key are correct. */
export function clearSettingsAlarms(deps: Pick<Dependencies, 'alarms'>): void {
  clearCredentialsAlarm(deps)
  deps.alarms.clear(ACCOUNT_ALARM)
}

/** Call this after Exotel has returned an empty list, which proves only that the key is correct. */
export function clearCredentialsAlarm({ alarms }: Pick<Dependencies, 'alarms'>): void {
  alarms.clear(CREDENTIALS_ALARM)
}

/**
 * Converts the error of a request for a list of calls to {@link RetryLater}, and raises an alarm if the settings are wrong. An answer that is
 * not one of Exotel's API may be due to this request only, so the plain list of calls is requested before an alarm is raised.
 */
export async function listFailure(deps: Pick<Dependencies, 'alarms' | 'exotelApi'>, error: unknown): Promise<unknown> {
  if (!(error instanceof ExotelAnswerUnknown)) return asRetryLater(deps, error)
  const cause: unknown = await deps.exotelApi.confirmAccount(currentAttempt().signal).then(
    () => error,
    (fault: unknown) => fault,
  )
  return asRetryLater(deps, cause)
}

/** Converts errors of Exotel's API to {@link RetryLater}, and raises an alarm if the settings are wrong. Returns other errors unchanged. */
export function asRetryLater({ alarms }: Pick<Dependencies, 'alarms'>, error: unknown): unknown {
  if (error instanceof ExotelCredentialsRefused) {
    alarms.raise(CREDENTIALS_ALARM, `${error.message}: check EXOTEL_ACCOUNT_SID, EXOTEL_API_KEY and EXOTEL_API_TOKEN`)
    return new RetryLater('ExotelCredentialsRefused', error.message)
  }
  if (error instanceof ExotelAccountNotFound) {
    alarms.clear(CREDENTIALS_ALARM)
    alarms.raise(ACCOUNT_ALARM, `${error.message}: check EXOTEL_API_BASE_URL (the region of the account) and EXOTEL_ACCOUNT_SID`)
    return new RetryLater('ExotelAccountNotFound', error.message)
  }
  if (error instanceof ExotelRateLimited) return new RetryLater('ExotelRateLimited', error.message, error.retryAfterMs)
  if (error instanceof ExotelUnavailable) return new RetryLater('ExotelUnavailable', error.message)
  return error
}
