// Parses responses of Exotel's Calls API leniently: an invalid field, other than the id, must not prevent that a call is found.
import { z } from 'zod'
import type { CallSid } from '../contracts/call-sid.ts'
import { callSid } from './call-event.ts'
import { knownStatus, type CallStatus } from '../contracts/call-status.ts'
import { readSourceUrl, type NamedSource } from './source-url.ts'
import { parseExotelTime } from './time.ts'

export interface CallDetails {
  status?: CallStatus
  durationSeconds?: number
  /** Exotel's link to the recording, with the pre-signed link if the response contains one. */
  source?: NamedSource
}

/** An ended call in Exotel's list of calls. */
export interface ListedCall extends CallDetails {
  callSid: CallSid
  direction?: string
  from?: string
  to?: string
  phoneNumberSid?: string
  startedAt?: Date
  endedAt?: Date
}

export interface CallsPage {
  calls: ListedCall[]
  /** Number of entries without a valid Sid. */
  unusable: number
  /** The cursor of the next page; absent on the last page. */
  next?: string
  /** Number of calls in the whole list, if Exotel sends it. */
  total?: number
  /** True if the page says whether another page follows; false if that is unknown. */
  isPagingKnown: boolean
}

export const PAGE_SIZE = 100
const LONGEST_CALL_SECONDS = 7 * 24 * 3600

const text = z.string().nullish()
const callAnswer = z.object({
  Call: z.object({
    Status: text,
    Duration: z.union([z.string(), z.number()]).nullish(),
    RecordingUrl: text,
    PreSignedRecordingUrl: text,
  }),
})
/** A field that is ignored if it is invalid. NUL is replaced, because PostgreSQL rejects it. */
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
  PhoneNumberSid: lenient,
  StartTime: lenient,
  EndTime: lenient,
})
const listAnswer = z.object({
  Metadata: z.object({ NextPageUri: text, Total: z.coerce.number().int().nullish().catch(null) }).nullish(),
  Calls: z.array(z.unknown()),
})

/** @returns undefined if the response does not have the documented form */
export function readCallDetails(answer: unknown): CallDetails | undefined {
  const read = callAnswer.safeParse(answer)
  return read.success ? detailsOf(read.data.Call) : undefined
}

/** @returns undefined if the response does not have the documented form */
export function readCallsPage(answer: unknown): CallsPage | undefined {
  const read = listAnswer.safeParse(answer)
  if (!read.success) return undefined
  const { Metadata, Calls } = read.data
  const calls = Calls.flatMap((each) => {
    const entry = listedCall.safeParse(each)
    return entry.success ? [listedOf(entry.data)] : []
  })
  const next = cursorIn(Metadata?.NextPageUri)
  return {
    calls,
    unusable: Calls.length - calls.length,
    isPagingKnown: next !== undefined || isLastPage(read.data),
    ...(next !== undefined && { next }),
    ...(typeof Metadata?.Total === 'number' && { total: Metadata.Total }),
  }
}

/**
 * The last page: NextPageUri is empty, or Metadata has no NextPageUri and the page is not full. Without Metadata, whether another page
 * follows is unknown.
 */
function isLastPage({ Metadata, Calls }: z.infer<typeof listAnswer>): boolean {
  if (!Metadata || Metadata.NextPageUri) return false
  return Metadata.NextPageUri !== undefined || Calls.length < PAGE_SIZE
}

function detailsOf({ Status, Duration, RecordingUrl, PreSignedRecordingUrl }: z.infer<typeof callAnswer>['Call']): CallDetails {
  const named = readSourceUrl(RecordingUrl ?? undefined) ?? readSourceUrl(PreSignedRecordingUrl ?? undefined)
  const status = knownStatus(Status ?? undefined)
  const seconds = hasText(Duration) ? Number(Duration) : Number.NaN // Number would read an empty text as 0
  return {
    ...(status && { status }),
    ...(seconds >= 0 && seconds <= LONGEST_CALL_SECONDS ? { durationSeconds: Math.round(seconds) } : {}),
    ...(named ? { source: PreSignedRecordingUrl ? { ...named, fetchUrl: PreSignedRecordingUrl } : named } : {}),
  }
}

function hasText(value: string | number | null | undefined): boolean {
  return String(value ?? '').trim() !== ''
}

function listedOf(entry: z.infer<typeof listedCall>): ListedCall {
  const [startedAt, endedAt] = [parseExotelTime(entry.StartTime ?? undefined), parseExotelTime(entry.EndTime ?? undefined)]
  return {
    ...detailsOf(entry),
    callSid: entry.Sid,
    ...(entry.Direction ? { direction: entry.Direction } : {}),
    ...(entry.From ? { from: entry.From } : {}),
    ...(entry.To ? { to: entry.To } : {}),
    ...(entry.PhoneNumberSid ? { phoneNumberSid: entry.PhoneNumberSid } : {}),
    ...(startedAt && { startedAt }),
    ...(endedAt && { endedAt }),
  }
}

/** The cursor in a link such as `/v1/Accounts/…/Calls.json?…&After=…`. */
function cursorIn(nextPageUri: string | null | undefined): string | undefined {
  return nextPageUri ? (new URLSearchParams(nextPageUri.split('?')[1]).get('After') ?? undefined) : undefined
}
