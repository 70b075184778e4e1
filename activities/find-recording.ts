// Exotel's Call Details: does the call have a recording, and may we have it? One request an activity, on the queue that
// keeps the whole fleet within Exotel's limit.
import { nameRecording } from '../calls/recording-facts.ts'
import { ExotelCredentialsRefused, ExotelRateLimited, ExotelUnavailable, type CallDetails } from '../exotel/api-client.ts'
import type { Access, CallDetailsAnswer, SourceRef } from '../workflows/contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'
import { giveBack } from './failures.ts'
import { runActivity, type Run } from './run.ts'

type Needs = Pick<Dependencies, 'database' | 'exotelApi' | 'alarms' | 'logger' | 'waitScale'>

const CREDENTIALS_ALARM = 'ExotelCredentialsRefused'

/** Asks whether Exotel names a recording for the call; a named one gets its row. */
export function createFindRecording(deps: Needs) {
  return ({ callSid }: { callSid: string }): Promise<CallDetailsAnswer> =>
    runActivity(deps, async (run) => {
      const details = await ask(deps, run, () => deps.exotelApi.callDetails(callSid, run.signal))
      if (details instanceof ExotelUnavailable) return { answer: 'unavailable', reason: details.message }
      if (details === undefined) return { answer: 'unknown call' }
      if (!details.source) {
        const { status, durationSeconds } = details
        return { answer: 'none', ...(status && { status }), ...(durationSeconds !== undefined && { durationSeconds }) }
      }
      await nameRecording(deps.database, callSid, details.source)
      return { answer: 'named', sourceUrl: details.source.sourceUrl }
    })
}

/**
 * A recording was refused to us: asks for a pre-signed link to it. Waits, with an alarm, while Exotel refuses our key
 * altogether.
 * @returns whether there is a new link to try
 */
export function createRenewAccess(deps: Needs) {
  return ({ callSid, sourceUrl }: SourceRef): Promise<Access> =>
    runActivity(deps, async (run) => {
      const details = await ask(deps, run, () => deps.exotelApi.callDetailsWithLink(callSid, run.signal))
      if (details instanceof ExotelUnavailable) return { access: 'unavailable' }
      const source = details?.source
      if (source?.fetchUrl === undefined || source.sourceUrl !== sourceUrl) return { access: 'refused' }
      await nameRecording(deps.database, callSid, source)
      return { access: 'renewed' }
    })
}

async function ask(
  { alarms, waitScale }: Needs,
  { attempt }: Run,
  request: () => Promise<CallDetails | undefined>,
): Promise<CallDetails | ExotelUnavailable | undefined> {
  try {
    const details = await request()
    alarms.clear(CREDENTIALS_ALARM)
    return details
  } catch (error) {
    if (error instanceof ExotelCredentialsRefused) {
      alarms.raise(CREDENTIALS_ALARM, `${error.message}: check EXOTEL_ACCOUNT_SID, EXOTEL_API_KEY and EXOTEL_API_TOKEN`)
      throw giveBack('ExotelCredentialsRefused', error.message, { attempt, scale: waitScale })
    }
    if (error instanceof ExotelRateLimited) {
      throw giveBack('ExotelRateLimited', error.message, { attempt, scale: waitScale, ms: error.retryAfterMs })
    }
    if (error instanceof ExotelUnavailable) return error
    throw error
  }
}
