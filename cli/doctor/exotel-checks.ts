// Exotel's API, and what is needed to receive webhooks and to download recordings.
import {
  ExotelAccountNotFound,
  ExotelAnswerUnknown,
  ExotelApi,
  ExotelCredentialsRefused,
  ExotelRateLimited,
  exotelApiSettings,
  isEmpty,
} from '../../exotel/api-client.ts'
import { checkUrl, guardedLookup, type UrlPolicy } from '../../exotel/url-policy.ts'
import { fault, messageOf, ok, warning, type CheckGroup, type Verdict } from './check.ts'

/** The list of calls of Exotel's API has at most a month. */
const LISTED_MS = 30 * 24 * 3600_000
const REGIONS = 'https://api.exotel.com, or https://api.in.exotel.com for accounts in Mumbai'

/** Sends one request, so that the rate limit of the account is not used up. */
export const exotelApiChecks: CheckGroup<'EXOTEL_API_BASE_URL' | 'EXOTEL_ACCOUNT_SID' | 'EXOTEL_API_KEY' | 'EXOTEL_API_TOKEN'> = {
  names: ['exotel-api'],
  needs: ['EXOTEL_API_BASE_URL', 'EXOTEL_ACCOUNT_SID', 'EXOTEL_API_KEY', 'EXOTEL_API_TOKEN'],
  async run(settings, { check }) {
    const api = new ExotelApi(exotelApiSettings(settings))
    await check('exotel-api', async (signal) => {
      const now = Date.now()
      const page = await api.listCalls({ kind: 'window', from: new Date(now - LISTED_MS), to: new Date(now) }, undefined, signal)
      if (!isEmpty(page)) return ok('Exotel accepts the key, and lists calls of the account.')
      return warning(
        `Exotel accepts the key, but lists no call of the last 30 days. Unless the account is new, check EXOTEL_ACCOUNT_SID and EXOTEL_API_BASE_URL (${REGIONS}).`,
        'EXOTEL_ACCOUNT_SID',
      )
    })
  },
  explain: explainExotel,
}

function explainExotel(error: unknown): Verdict {
  if (error instanceof ExotelCredentialsRefused)
    return fault(
      `Exotel rejects the key (${error.message}): check EXOTEL_API_KEY, EXOTEL_API_TOKEN and EXOTEL_ACCOUNT_SID, and the region in EXOTEL_API_BASE_URL (${REGIONS}).`,
      'EXOTEL_API_TOKEN',
    )
  if (error instanceof ExotelAccountNotFound)
    return fault(
      `Exotel does not know the account (${error.message}): check EXOTEL_ACCOUNT_SID, and the region in EXOTEL_API_BASE_URL (${REGIONS}).`,
      'EXOTEL_ACCOUNT_SID',
    )
  if (error instanceof ExotelAnswerUnknown)
    return fault(
      `The answer is not one of Exotel's API (${error.message}): correct EXOTEL_API_BASE_URL (${REGIONS}).`,
      'EXOTEL_API_BASE_URL',
    )
  if (error instanceof ExotelRateLimited)
    return warning('Exotel responded 429: other requests have used up the limit. Try again in a minute.')
  return fault(`${messageOf(error)}. Check the network, and EXOTEL_API_BASE_URL (${REGIONS}).`, 'EXOTEL_API_BASE_URL')
}

export const webhookChecks: CheckGroup<'EXOTEL_WEBHOOK_SECRET' | 'EXOTEL_WEBHOOK_BASIC' | 'EXOTEL_WEBHOOK_TOKEN'> = {
  names: ['webhook-authentication'],
  needs: ['EXOTEL_WEBHOOK_SECRET', 'EXOTEL_WEBHOOK_BASIC', 'EXOTEL_WEBHOOK_TOKEN'],
  async run({ EXOTEL_WEBHOOK_SECRET: secrets, EXOTEL_WEBHOOK_BASIC: basic, EXOTEL_WEBHOOK_TOKEN: token }, { check }) {
    const methods = [secrets.length > 0 && 'a signature', basic !== undefined && 'HTTP Basic', token !== undefined && 'a token'].filter(
      Boolean,
    )
    await check('webhook-authentication', async () => {
      if (methods.length > 0) return ok(`Webhooks are accepted with ${methods.join(' or ')}.`)
      return fault(
        'No webhook authentication is configured, so every webhook is rejected: set EXOTEL_WEBHOOK_BASIC to the user:password of the callback URL, or EXOTEL_WEBHOOK_TOKEN or EXOTEL_WEBHOOK_SECRET.',
        'EXOTEL_WEBHOOK_BASIC',
      )
    })
  },
  explain: (error) => fault(messageOf(error)),
}

type HostSetting = 'EXOTEL_RECORDING_HOSTS' | 'EXOTEL_PUBLIC_RECORDING_HOSTS'

/** Looks up the hosts that are named in full, as a download does. Nothing is requested from them. */
export const recordingHostChecks: CheckGroup<HostSetting | 'EXOTEL_ALLOW_LOCAL'> = {
  names: ['recording-hosts'],
  needs: ['EXOTEL_RECORDING_HOSTS', 'EXOTEL_PUBLIC_RECORDING_HOSTS', 'EXOTEL_ALLOW_LOCAL'],
  async run(settings, { check }) {
    const { EXOTEL_RECORDING_HOSTS: hosts, EXOTEL_PUBLIC_RECORDING_HOSTS: publicHosts, EXOTEL_ALLOW_LOCAL: allowLocal } = settings
    const policy = { hosts, publicHosts, allowLocal }
    await check('recording-hosts', async () => {
      for (const setting of ['EXOTEL_RECORDING_HOSTS', 'EXOTEL_PUBLIC_RECORDING_HOSTS'] as const) {
        for (const host of settings[setting].filter((each) => !each.startsWith('*.'))) {
          const problem = await problemOfHost(host, policy)
          if (problem) return fault(`Recordings cannot be downloaded from ${host}: ${problem}. Correct ${setting}.`, setting)
        }
      }
      return ok(`Recordings are downloaded from ${[...hosts, ...publicHosts].join(', ')}.`)
    })
  },
  explain: (error) => fault(messageOf(error), 'EXOTEL_RECORDING_HOSTS'),
}

async function problemOfHost(host: string, policy: UrlPolicy): Promise<string | undefined> {
  try {
    const { url } = checkUrl(`https://${host}/`, policy, 'named')
    await new Promise<void>((resolve, reject) => {
      guardedLookup(policy)(url.hostname.replace(/^\[|\]$/g, ''), {}, (error) => (error ? reject(error) : resolve()))
    })
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}
