// A client for Exotel's Calls API, v1 [developer.exotel.com, api/make-a-call-api and reporting]. It does not retry requests.
import type { CallSid } from '../contracts/call-sid.ts'
import type { Config } from '../platform/config.ts'
import { startDeadline } from '../platform/deadline.ts'
import { readStart } from '../platform/read-start.ts'
import { PAGE_SIZE, readCallDetails, readCallsPage, type CallDetails, type CallsPage } from './api-answers.ts'
import { createHttpAgents, discardBody, httpGet, type HttpResponse } from './http-request.ts'
import { retryAfterMs } from './retry-after.ts'
import { formatExotelTime } from './time.ts'

export interface ExotelApiSettings {
  /** The base URL without `/v1`. */
  baseUrl: string
  accountSid: string
  apiKey: string
  apiToken: string
}

export function exotelApiSettings(
  config: Pick<Config, 'EXOTEL_API_BASE_URL' | 'EXOTEL_ACCOUNT_SID' | 'EXOTEL_API_KEY' | 'EXOTEL_API_TOKEN'>,
): ExotelApiSettings {
  return {
    baseUrl: config.EXOTEL_API_BASE_URL,
    accountSid: config.EXOTEL_ACCOUNT_SID,
    apiKey: config.EXOTEL_API_KEY,
    apiToken: config.EXOTEL_API_TOKEN,
  }
}

/** There was no response, or it cannot be read. */
export class ExotelUnavailable extends Error {}
/** The response is not one of Exotel's API, for example a page or a redirect. The address may be wrong. */
export class ExotelAnswerUnknown extends ExotelUnavailable {}
/** 401 or 403. For one call, Exotel may refuse only that call; for the list of calls, it rejects our key and token. */
export class ExotelCredentialsRefused extends Error {}
/** The list of calls is not found, is no answer of Exotel's API, or is empty: the account does not exist at this address, which may belong to another region. */
export class ExotelAccountNotFound extends Error {}
/** 429 */
export class ExotelRateLimited extends Error {
  readonly retryAfterMs: number | undefined
  constructor(retryAfter: number | undefined) {
    super('Exotel responded 429')
    this.retryAfterMs = retryAfter
  }
}

/** For this time, a list with a call proves that address and account are right. */
const ACCOUNT_KNOWN_FOR_MS = 60_000
/** For one request, including the body of its response. */
const DEADLINE_MS = 15_000
const MAX_RESPONSE_BYTES = 5 * 1024 ** 2
const PRESIGNED_MINUTES = 60

export class ExotelApi {
  readonly #settings: ExotelApiSettings
  readonly #deadlineMs: number
  readonly #agents = createHttpAgents()
  #accountSeenAt = Number.NEGATIVE_INFINITY

  constructor(settings: ExotelApiSettings, deadlineMs = DEADLINE_MS) {
    this.#settings = settings
    this.#deadlineMs = deadlineMs
  }

  /**
   * Requests Call Details.
   * @returns undefined if Exotel does not know the call
   * @throws {ExotelUnavailable | ExotelCredentialsRefused | ExotelRateLimited}
   */
  callDetails(callSid: CallSid, signal: AbortSignal): Promise<CallDetails | undefined> {
    return this.#details(callSid, '', signal)
  }

  /** Requests Call Details with a pre-signed link to the recording, if there is one. Throws as {@link callDetails} does. */
  callDetailsWithLink(callSid: CallSid, signal: AbortSignal): Promise<CallDetails | undefined> {
    return this.#details(callSid, `?RecordingUrlValidity=${PRESIGNED_MINUTES}`, signal)
  }

  /**
   * Requests a page of ended calls, the oldest first: calls that started within a window of at most a month, or up to 100 calls by id.
   * Throws as {@link callDetails} does.
   * @throws {ExotelAccountNotFound}
   */
  async listCalls(
    filter: { kind: 'window'; from: Date; to: Date } | { kind: 'calls'; callSids: CallSid[] },
    after: string | undefined,
    signal: AbortSignal,
  ): Promise<CallsPage> {
    const query = new URLSearchParams({ PageSize: String(PAGE_SIZE), SortBy: 'DateCreated:asc' })
    if (filter.kind === 'calls') query.set('Sid', filter.callSids.join(','))
    else query.set('DateCreated', `gte:${formatExotelTime(filter.from)};lte:${formatExotelTime(filter.to)}`)
    if (after !== undefined) query.set('After', after)
    return this.#list(query, signal)
  }

  /**
   * Call after an answer about a call that wrong settings would cause as well. Requests the list of calls, unless it was answered within the
   * last minute, and after no refusal. Without a time window, Exotel lists the calls of the last 31 days [api/call-details-bulk]. That list
   * is not empty, because a call of the account is known.
   * @throws {ExotelAccountNotFound} if the list is empty or not one of Exotel's API, or what {@link listCalls} throws
   */
  async confirmAccount(signal: AbortSignal): Promise<void> {
    if (performance.now() - this.#accountSeenAt < ACCOUNT_KNOWN_FOR_MS) return
    const page = await this.#list(new URLSearchParams({ PageSize: '1' }), signal).catch((error: unknown) => {
      if (error instanceof ExotelAnswerUnknown)
        throw new ExotelAccountNotFound(`Exotel does not answer the request for the list of calls: ${error.message}`)
      throw error
    })
    if (isEmpty(page)) throw new ExotelAccountNotFound('The list of calls is empty, although there are calls')
  }

  async #list(query: URLSearchParams, signal: AbortSignal): Promise<CallsPage> {
    const answer = await this.#get(`Calls.json?${query.toString()}`, signal)
    if (answer === undefined) throw new ExotelAccountNotFound('Exotel responded 404 to the request for the list of calls')
    const page = readCallsPage(answer)
    if (!page) throw new ExotelAnswerUnknown('The list of calls does not have the documented form')
    if (!isEmpty(page)) this.#accountSeenAt = performance.now()
    return page
  }

  async #details(callSid: CallSid, query: string, signal: AbortSignal): Promise<CallDetails | undefined> {
    const answer = await this.#get(`Calls/${encodeURIComponent(callSid)}.json${query}`, signal)
    if (answer === undefined) return undefined
    const details = readCallDetails(answer)
    if (!details) throw new ExotelAnswerUnknown('The Call Details response does not have the documented form')
    return details
  }

  async #get(path: string, signal: AbortSignal): Promise<unknown> {
    const deadline = startDeadline(this.#deadlineMs)
    try {
      return await readAnswer(await this.#send(path, AbortSignal.any([signal, deadline.signal])))
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof ExotelCredentialsRefused) this.#accountSeenAt = Number.NEGATIVE_INFINITY // the key may have been revoked
      throw error
    } finally {
      deadline.end()
    }
  }

  async #send(path: string, signal: AbortSignal): Promise<HttpResponse> {
    const { baseUrl, accountSid, apiKey, apiToken } = this.#settings
    const url = new URL(`${baseUrl}/v1/Accounts/${encodeURIComponent(accountSid)}/${path}`)
    const authorization = `Basic ${Buffer.from(`${apiKey}:${apiToken}`).toString('base64')}`
    const headers = { authorization, accept: 'application/json', 'accept-encoding': 'identity' }
    return httpGet(url, { headers, signal, agents: this.#agents }).catch((error: unknown) => {
      throw new ExotelUnavailable(`Exotel's API does not respond: ${messageOf(error)}`)
    })
  }
}

/** @returns undefined for 404 */
async function readAnswer({ statusCode, headers, body }: HttpResponse): Promise<unknown> {
  if (statusCode === 200) return readJson(body)
  await discardBody(body)
  if (statusCode === 404) return undefined
  if (statusCode === 401 || statusCode === 403) throw new ExotelCredentialsRefused(`Exotel's API responded ${statusCode}`)
  if (statusCode === 429) throw new ExotelRateLimited(retryAfterMs(headers['retry-after'], new Date()))
  const Failure = statusCode >= 500 ? ExotelUnavailable : ExotelAnswerUnknown
  throw new Failure(`Exotel's API responded ${statusCode}`)
}

async function readJson(body: HttpResponse['body']): Promise<unknown> {
  const start = await readStart(body, MAX_RESPONSE_BYTES)
  if (start.kind === 'longer') throw new ExotelUnavailable(`Exotel's response is longer than ${MAX_RESPONSE_BYTES} bytes`)
  if (start.kind === 'broken') throw new ExotelUnavailable(`Exotel's response cannot be read: ${start.error.message}`)
  try {
    return JSON.parse(start.bytes.toString('utf8')) as unknown
  } catch {
    throw new ExotelAnswerUnknown("Exotel's response is not JSON") // the parser's error would quote the response
  }
}

/** The list of an account without any call. It proves nothing: Exotel may answer it for a wrong account as well. */
export function isEmpty({ calls, unusable }: CallsPage): boolean {
  return calls.length + unusable === 0
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
