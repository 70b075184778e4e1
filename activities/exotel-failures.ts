import { ExotelCredentialsRefused, ExotelRateLimited, ExotelUnavailable } from '../exotel/api-client.ts'
import type { Dependencies } from './dependencies.ts'
import { giveBack } from './failures.ts'
import type { Run } from './run.ts'

export const CREDENTIALS_ALARM = 'ExotelCredentialsRefused'

/** What Exotel's API threw, as a task given back; refused credentials raise an alarm. Other errors stay as they are. */
export function asGivenBack({ alarms, pauses }: Pick<Dependencies, 'alarms' | 'pauses'>, { attempt }: Run, error: unknown): unknown {
  if (error instanceof ExotelCredentialsRefused) {
    alarms.raise(CREDENTIALS_ALARM, `${error.message}: check EXOTEL_ACCOUNT_SID, EXOTEL_API_KEY and EXOTEL_API_TOKEN`)
    return giveBack('ExotelCredentialsRefused', error.message, { attempt, pauses })
  }
  if (error instanceof ExotelRateLimited) return giveBack('ExotelRateLimited', error.message, { attempt, pauses, ms: error.retryAfterMs })
  if (error instanceof ExotelUnavailable) return giveBack('ExotelUnavailable', error.message, { attempt, pauses })
  return error
}
