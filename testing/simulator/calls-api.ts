// Exotel's Calls API, v1, for the simulated calls [developer.exotel.com: Call Details, bulk call details].
import { formatExotelTime, parseExotelTime } from '../../exotel/time.ts'
import { hasEnded, isAvailable, type SimulatedCall } from './call.ts'

/** Creates the links in a response. */
export interface AnsweredLinks {
  recordingUrl(call: SimulatedCall): string
  /** @param minutes how long the link is valid */
  presignedUrl(call: SimulatedCall, minutes: number): string
}

const MAX_PAGE_SIZE = 100
const DEFAULT_PAGE_SIZE = 50
/** The validity in minutes that may be requested for a pre-signed link. */
const [MIN_VALIDITY, MAX_VALIDITY] = [5, 60]

export function callDetails(call: SimulatedCall, query: URLSearchParams, links: AnsweredLinks): object {
  return { Call: describe(call, query, links) }
}

/** Returns a page of ended calls, oldest first. The cursor is the CallSid of the last call. */
export function listCalls(calls: SimulatedCall[], query: URLSearchParams, path: string, links: AnsweredLinks): object {
  const sids = query.get('Sid')?.split(',')
  const [from, to] = readRange(query.get('DateCreated') ?? '')
  const matching = calls
    .filter((call) => call.partOf === undefined && isKnown(call) && hasEnded(call))
    .filter((call) => (!sids || sids.includes(call.callSid)) && call.startedAt >= from && call.startedAt <= to)
    .toSorted((a, b) => a.startedAt.getTime() - b.startedAt.getTime())
  const size = Math.min(Number(query.get('PageSize') ?? DEFAULT_PAGE_SIZE), MAX_PAGE_SIZE)
  const start = matching.findIndex((call) => call.callSid === query.get('After')) + 1
  const page = matching.slice(start, start + size)
  const following = new URLSearchParams(query)
  if (page.length > 0) following.set('After', page.at(-1)!.callSid)
  const next = start + size < matching.length ? `${path}?${following.toString()}` : null
  return {
    Metadata: { Total: matching.length, PageSize: size, NextPageUri: next, PrevPageUri: null },
    Calls: page.map((call) => describe(call, query, links)),
  }
}

/** True if Exotel's API returns the call. */
export function isKnown(call: SimulatedCall): boolean {
  return call.fault !== 'call-unknown-first' || isAvailable(call)
}

function describe(call: SimulatedCall, query: URLSearchParams, links: AnsweredLinks): object {
  const available = call.recording !== undefined && isAvailable(call)
  const presigned = available && query.has('RecordingUrlValidity') && call.fault !== 'unauthorized'
  return {
    Sid: call.callSid,
    Status: hasEnded(call) ? call.status : 'in-progress',
    DateCreated: formatExotelTime(call.startedAt),
    StartTime: formatExotelTime(call.startedAt),
    EndTime: hasEnded(call) ? formatExotelTime(call.endedAt) : null,
    Duration: hasEnded(call) ? call.durationSeconds : null,
    Direction: 'inbound',
    From: '09876543210',
    To: '+918045678901',
    PhoneNumberSid: '+918045678901',
    RecordingUrl: available ? links.recordingUrl(call) : null,
    ...(presigned && { PreSignedRecordingUrl: links.presignedUrl(call, validityIn(query)) }),
  }
}

function validityIn(query: URLSearchParams): number {
  return Math.min(Math.max(Number(query.get('RecordingUrlValidity')), MIN_VALIDITY), MAX_VALIDITY)
}

function readRange(filter: string): [Date, Date] {
  const bound = (name: string): Date | undefined => parseExotelTime(new RegExp(`${name}:([^;]+)`).exec(filter)?.[1])
  return [bound('gte') ?? new Date(0), bound('lte') ?? new Date(8.64e15)]
}
