// What a delivery says about its call, whichever of Exotel's spellings it uses
// [developer.exotel.com status callback; support articles 48283 and 3000132269 for Passthru].
import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Fields, FieldValue } from './fields.ts'
import { readSourceUrl, type NamedSource } from './source-url.ts'
import { parseExotelTime } from './time.ts'

export const WEBHOOK_ROUTES = ['call-start', 'call-end', 'recording'] as const
export type WebhookRoute = (typeof WEBHOOK_ROUTES)[number]

const FINAL_STATUSES = new Set(['completed', 'busy', 'no-answer', 'failed', 'canceled'])
const KNOWN_STATUSES = new Set(['queued', 'ringing', 'in-progress', ...FINAL_STATUSES])

export interface CallEvent {
  callSid: string
  route: WebhookRoute
  accountSid?: string
  /** Exotel's word, lower case; absent where it is none that Exotel documents. */
  status?: string
  direction?: string
  from?: string
  to?: string
  startedAt?: Date
  endedAt?: Date
  durationSeconds?: number
  customField?: string
  sources: NamedSource[]
  /** The call is over: its workflow starts. */
  ended: boolean
}

const MAX_TEXT = 500
const text = z
  .string()
  .trim()
  .max(MAX_TEXT)
  .transform((value) => value || undefined)
  .catch(() => undefined)
  .optional()
const seconds = z.coerce
  .number()
  .int()
  .min(0)
  .max(7 * 24 * 3600)
  .optional()
  .catch(() => undefined)

/** A CallSid is the only field without which a delivery means nothing. */
export const callSid = z
  .string({ error: ({ input }) => (Array.isArray(input) ? 'CallSid is given more than once' : 'CallSid is missing') })
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'CallSid must be 1 to 64 letters, digits, "-" or "_"')

const delivery = z.object({
  CallSid: callSid,
  AccountSid: text,
  Status: text,
  CallStatus: text,
  Direction: text,
  From: text,
  CallFrom: text,
  To: text,
  CallTo: text,
  StartTime: text,
  EndTime: text,
  DateUpdated: text,
  ConversationDuration: text,
  DialCallDuration: text,
  RecordingDuration: text,
  CustomField: text,
})

/** The delivery's CallSid is missing or impossible; the message names the field. */
export class BadCallSid extends Error {}

/**
 * @param method a POST to `call-end` ends the call whatever its status; Passthru's GET comes from the middle of a flow
 * @throws {BadCallSid}
 */
export function readCallEvent(fields: Fields, route: WebhookRoute, method: 'GET' | 'POST'): CallEvent {
  const read = delivery.safeParse(fields)
  if (!read.success) throw new BadCallSid(read.error.issues[0]?.message ?? 'CallSid is not usable')
  const said = read.data
  const status = knownStatus(said.Status ?? said.CallStatus)
  const final = status !== undefined && FINAL_STATUSES.has(status)
  return withoutAbsent({
    callSid: said.CallSid,
    route,
    accountSid: said.AccountSid,
    status,
    direction: said.Direction,
    from: said.From ?? said.CallFrom,
    to: said.To ?? said.CallTo,
    startedAt: parseExotelTime(said.StartTime),
    endedAt: parseExotelTime(said.EndTime) ?? (final ? parseExotelTime(said.DateUpdated) : undefined),
    durationSeconds: readSeconds(said.ConversationDuration) ?? readSeconds(said.DialCallDuration) ?? readSeconds(said.RecordingDuration),
    customField: said.CustomField,
    sources: readSources(fields),
    ended: final || (route === 'call-end' && method === 'POST'),
  })
}

/**
 * What makes a repeated delivery the same event: its fields, sorted, without the time of sending. Another content type or
 * multipart boundary changes nothing; that it ends the call does, since a GET in the middle of a flow may look the same.
 */
export function deliveryIdentity({ route, ended }: Pick<CallEvent, 'route' | 'ended'>, fields: Fields): string {
  const { CurrentTime: _, ...lasting } = fields
  return hash(['exotel', route, ended ? 'ended' : 'open', canonical(lasting)])
}

/** The identity of a delivery that nobody can read: its very bytes. */
export function unreadableIdentity(route: WebhookRoute, rawBody: Buffer): string {
  return hash(['exotel', route, rawBody])
}

function readSources(fields: Fields): NamedSource[] {
  const sources = [readSourceUrl(textOf(fields.RecordingUrl)), readSourceUrl(textOf(streamOf(fields.Stream)?.RecordingUrl))]
  const named = sources.filter((each) => each !== undefined)
  return named.filter((each, index) => named.findIndex(({ sourceUrl }) => sourceUrl === each.sourceUrl) === index)
}

/** Nested fields, or one JSON text. */
function streamOf(value: FieldValue | undefined): Fields | undefined {
  if (typeof value === 'object') return Array.isArray(value) ? undefined : value
  if (!value?.startsWith('{')) return undefined
  try {
    const parsed: unknown = JSON.parse(value)
    return typeof parsed === 'object' && parsed !== null ? (parsed as Fields) : undefined
  } catch {
    return undefined
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Exotel's word, lower case; undefined where it is none that Exotel documents. */
export function knownStatus(raw: string | undefined): string | undefined {
  const status = raw?.toLowerCase()
  return status && KNOWN_STATUSES.has(status) ? status : undefined
}

function readSeconds(raw: string | undefined): number | undefined {
  return raw === undefined ? undefined : seconds.parse(raw)
}

function canonical(value: FieldValue): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  const names = Object.keys(value).toSorted()
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name] ?? '')}`).join(',')}}`
}

function hash(parts: (string | Buffer)[]): string {
  const sha256 = createHash('sha256')
  for (const part of parts) sha256.update(part).update('\n')
  return sha256.digest('hex')
}

type WithoutUndefined<T> = { [K in keyof T]: Exclude<T[K], undefined> }
function withoutAbsent<T extends object>(value: T): WithoutUndefined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as WithoutUndefined<T>
}
