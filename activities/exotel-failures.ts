import { ExotelAccountNotFound, ExotelCredentialsRefused, ExotelRateLimited, ExotelUnavailable } from '../exotel/api-client.ts'
import type { Dependencies } from './dependencies.ts'
import { retryLater } from './failures.ts'
import type { Run } from './run.ts'

const CREDENTIALS_ALARM = 'ExotelCredentialsRefused'
const ACCOUNT_ALARM = 'ExotelAccountNotFound'

/** Exotel has answered with a call or a list of calls: address, account and key are right. */
export function clearSettingsAlarms({ alarms }: Pick<Dependencies, 'alarms'>): void {
  alarms.clear(CREDENTIALS_ALARM)
  alarms.clear(ACCOUNT_ALARM)
}

/** What Exotel's API threw, as a task given back; wrong settings raise an alarm. Other errors stay as they are. */
export function asRetryLater({ alarms, pauses }: Pick<Dependencies, 'alarms' | 'pauses'>, { attempt }: Run, error: unknown): unknown {
  if (error instanceof ExotelCredentialsRefused) {
    alarms.raise(CREDENTIALS_ALARM, `${error.message}: check EXOTEL_ACCOUNT_SID, EXOTEL_API_KEY and EXOTEL_API_TOKEN`)
    return retryLater('ExotelCredentialsRefused', error.message, { attempt, pauses })
  }
  if (error instanceof ExotelAccountNotFound) {
    alarms.clear(CREDENTIALS_ALARM)
    alarms.raise(ACCOUNT_ALARM, `${error.message}: check EXOTEL_API_BASE_URL (the region of the account) and EXOTEL_ACCOUNT_SID`)
    return retryLater('ExotelAccountNotFound', error.message, { attempt, pauses })
  }
  if (error instanceof ExotelRateLimited) return retryLater('ExotelRateLimited', error.message, { attempt, pauses, ms: error.retryAfterMs })
  if (error instanceof ExotelUnavailable) return retryLater('ExotelUnavailable', error.message, { attempt, pauses })
  return error
}
