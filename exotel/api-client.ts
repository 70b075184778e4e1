// Exotel's Calls API, v1 [developer.exotel.com, api/make-a-call-api and reporting]: one request a method, no retries of its own.
import { z } from 'zod'
import { request, type Dispatcher } from 'undici'
import { retryAfterMs } from './retry-after.ts'
import { callSid } from './call-event.ts'
import { readSourceUrl, type NamedSource } from './source-url.ts'
import { formatExotelTime, parseExotelTime } from './time.ts'

export interface ExotelApiSettings {
  /** Ends before `/v1`. */
  baseUrl: string
  accountSid: string
  apiKey: string
  apiToken: string
}

/** No answer, or none that can be read. */
export class ExotelUnavailable extends Error {}
/** 401 or 403: our key and token are refused. */
export class ExotelCredentialsRefused extends Error {}
/** 429 */
export class ExotelRateLimited extends Error {
  readonly retryAfterMs: number | undefined
  constructor(retryAfter: number | undefined) {
    super('Exotel answered 429')
    this.retryAfterMs = retryAfter
  }
}

export interface CallDetails {
  status?: string
  durationSeconds?: number
  /** What Exotel calls the recording; with a pre-signed link to fetch where it gave one. */
  source?: NamedSource
}

/** An ended call as Exotel's list has it. */
export interface ListedCall extends CallDetails {
  callSid: string
  direction?: string
  from?: string
  to?: string
  startedAt?: Date
  endedAt?: Date
}

export interface CallsPage {
  calls: ListedCall[]
  /** Entries without a usable Sid. */
  unusable: number
  /** Asks for the page behind this one; absent on the last. */
  next?: string
  /** Calls in the whole list, where Exotel tells. */
  total?: number
  /** False where the page does not tell whether another follows. */
  tellsNext: boolean
}

const PAGE_SIZE = 100
const LONGEST_CALL_SECONDS = 7 * 24 * 3600
const DEADLINE_MS = 15_000
const MAX_ANSWER_BYTES = 5 * 1024 ** 2
const PRESIGNED_MINUTES = 60

const text = z.string().nullish()
const callAnswer = z.object({
  Call: z.object({
    Status: text,
    Duration: z.union([z.string(), z.number()]).nullish(),
    RecordingUrl: text,
    PreSignedRecordingUrl: text,
  }),
})
/** Of an entry only its id has to be right: nothing else may keep a call from being found. */
const lenient = text.transform((value) => value?.replaceAll('\0', '\uFFFD')).catch(undefined)
const listedCall = z.object({
  Sid: callSid,
  Status: lenient,
  Duration: callAnswer.shape.Call.shape.Duration.catch(null),
  RecordingUrl: lenient,
  PreSignedRecordingUrl: lenient,
  Direction: lenient,
  From: lenient,
  To: lenient,
  StartTime: lenient,
  EndTime: lenient,
})
const listAnswer = z.object({
  Metadata: z.object({ NextPageUri: text, Total: z.coerce.number().int().nullish().catch(null) }).nullish(),
  Calls: z.array(z.unknown()),
})

export class ExotelApi {
  readonly #settings: ExotelApiSettings

  constructor(settings: ExotelApiSettings) {
    this.#settings = settings
  }

  /**
   * Call Details. Undefined: Exotel does not know the call.
   * @throws {ExotelUnavailable | ExotelCredentialsRefused | ExotelRateLimited}
   */
  callDetails(callSid: string, signal: AbortSignal): Promise<CallDetails | undefined> {
    return this.#details(callSid, '', signal)
  }

  /** Call Details with a pre-signed link to the recording, where there is one. Throws as {@link callDetails} does. */
  callDetailsWithLink(callSid: string, signal: AbortSignal): Promise<CallDetails | undefined> {
    return this.#details(callSid, `?RecordingUrlValidity=${PRESIGNED_MINUTES}`, signal)
  }

  /**
   * A page of ended calls, oldest first: those that began within the window (a month at most), or up to 100 by their ids.
   * Throws as {@link callDetails} does.
   */
  async listCalls(
    filter: { from: Date; to: Date } | { callSids: string[] },
    after: string | undefined,
    signal: AbortSignal,
  ): Promise<CallsPage> {
    const query = new URLSearchParams({ PageSize: String(PAGE_SIZE), SortBy: 'DateCreated:asc' })
    if ('callSids' in filter) query.set('Sid', filter.callSids.join(','))
    else query.set('DateCreated', `gte:${formatExotelTime(filter.from)};lte:${formatExotelTime(filter.to)}`)
    if (after !== undefined) query.set('After', after)
    const read = listAnswer.safeParse(await this.#get(`Calls.json?${query.toString()}`, signal))
    if (!read.success) throw new ExotelUnavailable('The list of calls has not the documented form')
    const { Metadata, Calls } = read.data
    const calls = Calls.flatMap((each) => {
      const entry = listedCall.safeParse(each)
      return entry.success ? [listedOf(entry.data)] : []
    })
    const next = cursorIn(Metadata?.NextPageUri)
    return {
      calls,
      unusable: Calls.length - calls.length,
      // A link that we cannot follow is no last page, and neither is a full one that says nothing.
      tellsNext:
        next !== undefined ||
        (Metadata != null && !Metadata.NextPageUri && (Metadata.NextPageUri !== undefined || Calls.length < PAGE_SIZE)),
      ...(next !== undefined && { next }),
      ...(typeof Metadata?.Total === 'number' && { total: Metadata.Total }),
    }
  }

  async #details(callSid: string, query: string, signal: AbortSignal): Promise<CallDetails | undefined> {
    const answer = await this.#get(`Calls/${encodeURIComponent(callSid)}.json${query}`, signal)
    if (answer === undefined) return undefined
    const read = callAnswer.safeParse(answer)
    if (!read.success) throw new ExotelUnavailable('Call Details has not the documented form')
    return detailsOf(read.data.Call)
  }

  async #get(path: string, signal: AbortSignal): Promise<unknown> {
    const { baseUrl, accountSid, apiKey, apiToken } = this.#settings
    const response = await request(`${baseUrl}/v1/Accounts/${encodeURIComponent(accountSid)}/${path}`, {
      headers: { authorization: `Basic ${Buffer.from(`${apiKey}:${apiToken}`).toString('base64')}`, accept: 'application/json' },
      signal: AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]),
    }).catch((error: unknown) => {
      signal.throwIfAborted()
      throw new ExotelUnavailable(`Exotel's API does not answer: ${error instanceof Error ? error.message : String(error)}`)
    })
    const { statusCode, headers, body } = response
    if (statusCode === 200) return readJson(body, signal)
    await body.dump().catch(() => {})
    if (statusCode === 404) return undefined
    if (statusCode === 401 || statusCode === 403) throw new ExotelCredentialsRefused(`Exotel's API answered ${statusCode}`)
    if (statusCode === 429) throw new ExotelRateLimited(retryAfterMs(headers['retry-after'], new Date()))
    throw new ExotelUnavailable(`Exotel's API answered ${statusCode}`)
  }
}

function detailsOf({ Status, Duration, RecordingUrl, PreSignedRecordingUrl }: z.infer<typeof callAnswer>['Call']): CallDetails {
  const named = readSourceUrl(RecordingUrl ?? undefined) ?? readSourceUrl(PreSignedRecordingUrl ?? undefined)
  const seconds = Number(Duration ?? Number.NaN)
  return {
    ...(Status ? { status: Status.toLowerCase() } : {}),
    ...(seconds >= 0 && seconds <= LONGEST_CALL_SECONDS ? { durationSeconds: Math.round(seconds) } : {}),
    ...(named ? { source: PreSignedRecordingUrl ? { ...named, fetchUrl: PreSignedRecordingUrl } : named } : {}),
  }
}

function listedOf(entry: z.infer<typeof listedCall>): ListedCall {
  const [startedAt, endedAt] = [parseExotelTime(entry.StartTime ?? undefined), parseExotelTime(entry.EndTime ?? undefined)]
  return {
    ...detailsOf(entry),
    callSid: entry.Sid,
    ...(entry.Direction ? { direction: entry.Direction } : {}),
    ...(entry.From ? { from: entry.From } : {}),
    ...(entry.To ? { to: entry.To } : {}),
    ...(startedAt && { startedAt }),
    ...(endedAt && { endedAt }),
  }
}

/** The cursor in a link like `/v1/Accounts/…/Calls.json?…&After=…`. */
function cursorIn(nextPageUri: string | null | undefined): string | undefined {
  return nextPageUri ? (new URLSearchParams(nextPageUri.split('?')[1]).get('After') ?? undefined) : undefined
}

async function readJson(body: Dispatcher.ResponseData['body'], signal: AbortSignal): Promise<unknown> {
  try {
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > MAX_ANSWER_BYTES) throw new Error('longer than any answer should be')
      chunks.push(chunk)
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown
  } catch (error) {
    signal.throwIfAborted()
    throw new ExotelUnavailable(`Exotel's answer cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}
