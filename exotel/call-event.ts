// Reads a call event from the fields of a delivery, in any of Exotel's spellings
// [developer.exotel.com status callback; support articles 48283 and 3000132269 for Passthru].
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { isCallSid, type CallSid } from '../contracts/call-sid.ts'
import { isFinal, type CallStatus } from '../contracts/call-status.ts'
import { callStatusOf, isAboutLeg } from './call-status.ts'
import { decodeJsonText, textsIn, type Fields, type FieldValue } from './decode-fields.ts'
import { readSourceUrl, type NamedSource } from './source-url.ts'
import { parseExotelTime } from './time.ts'

export const WEBHOOK_ROUTES = ['call-start', 'call-end', 'recording'] as const
export type WebhookRoute = (typeof WEBHOOK_ROUTES)[number]

export interface CallEvent {
  callSid: CallSid
  route: WebhookRoute
  accountSid?: string
  /** Absent if the event does not contain the status of the call. */
  status?: CallStatus
  direction?: string
  from?: string
  to?: string
  startedAt?: Date
  endedAt?: Date
  durationSeconds?: number
  customField?: string
  /** The company's number of the call. */
  phoneNumberSid?: string
  /** The agent that a call flow has dialled. */
  dialledNumber?: string
  sources: NamedSource[]
  /** The call has ended, so its workflow starts. */
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

/** The only required field of a delivery. */
export const callSid = z
  .string({ error: ({ input }) => (Array.isArray(input) ? 'CallSid is given more than once' : 'CallSid is missing') })
  .refine(isCallSid, 'CallSid must be 1 to 64 letters, digits, "-" or "_"')

const delivery = z.object({
  CallSid: callSid,
  AccountSid: text,
  Status: text,
  CallStatus: text,
  CallType: text,
  DialCallStatus: text,
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
  PhoneNumberSid: text,
  DialWhomNumber: text,
})

type Delivery = z.infer<typeof delivery>

/** The CallSid of a delivery is missing or invalid. The message says which. */
export class InvalidCallSid extends Error {}

/**
 * Reads the event. `call-end` always ends the call, `call-start` never does, and `recording` does if it has a final status.
 * @throws {InvalidCallSid}
 */
export function readCallEvent(fields: Fields, route: WebhookRoute): CallEvent {
  const read = delivery.safeParse(fields)
  if (!read.success) throw new InvalidCallSid(read.error.issues[0]?.message ?? 'CallSid is invalid')
  const values = read.data
  const aboutLeg = isAboutLeg(fields)
  const mayEnd = route !== 'call-start' && !aboutLeg
  const status = callStatusOf(values, { aboutLeg, mayEnd })
  return withoutAbsent({
    callSid: values.CallSid,
    route,
    accountSid: values.AccountSid,
    status,
    direction: values.Direction,
    from: values.From ?? values.CallFrom,
    to: values.To ?? values.CallTo,
    startedAt: parseExotelTime(values.StartTime),
    endedAt: mayEnd ? endOf(values, status) : undefined,
    durationSeconds: mayEnd ? durationOf(values, status) : undefined,
    customField: values.CustomField,
    phoneNumberSid: values.PhoneNumberSid,
    dialledNumber: values.DialWhomNumber,
    sources: readSources(fields),
    ended: route === 'call-end' || isFinal(status),
  })
}

function endOf({ EndTime, DateUpdated }: Delivery, status: CallStatus | undefined): Date | undefined {
  return parseExotelTime(EndTime) ?? (isFinal(status) ? parseExotelTime(DateUpdated) : undefined)
}

/** `DialCallDuration` includes the time that the agent's phone rang, so it is used only if the call was answered. */
function durationOf(values: Delivery, status: CallStatus | undefined): number | undefined {
  const dialled = status === 'completed' ? readSeconds(values.DialCallDuration) : undefined
  return readSeconds(values.ConversationDuration) ?? dialled ?? readSeconds(values.RecordingDuration)
}

/**
 * The identity of an event, by which a repeated delivery is recognized: a hash of its sorted fields without the time of sending.
 * It does not depend on the content type and the multipart boundary.
 */
export function deliveryIdentity(route: WebhookRoute, fields: Fields): string {
  const { CurrentTime: _, ...lasting } = fields
  return hash(['exotel', route, canonical(lasting)])
}

/** The identity of a delivery that cannot be read: a hash of its bytes. */
export function unreadableIdentity(route: WebhookRoute, rawBody: Buffer): string {
  return hash(['exotel', route, rawBody])
}

/** Each link in the event, however often and in whatever notation it is given. */
function readSources(fields: Fields): NamedSource[] {
  const links = Object.entries(fields).flatMap(([name, value]) => (name === 'Stream' ? linksInStream(value) : linksIn(name, value)))
  const named = links.map((link) => readSourceUrl(link)).filter((each) => each !== undefined)
  return named.filter((each, index) => named.findIndex(({ sourceUrl }) => sourceUrl === each.sourceUrl) === index)
}

/** `RecordingUrl` and the names of its nested fields in dot notation: `Stream.RecordingUrl`, `Stream.0.RecordingUrl`, `RecordingUrl.0`. */
const LINK_NAME = /^(?:Stream\.(?:.+\.)?)?RecordingUrl(?:\..+)?$/

function linksIn(name: string, value: FieldValue): string[] {
  return LINK_NAME.test(name) ? textsIn(value) : []
}

/** `Stream` is sent as nested fields or as JSON text. */
function linksInStream(value: FieldValue): string[] {
  if (typeof value === 'string') return /^\s*[{[]/.test(value) ? linksInStream(decodeJsonText(value) ?? []) : []
  if (Array.isArray(value)) return value.flatMap(linksInStream)
  return Object.entries(value).flatMap(([name, each]) => (LINK_NAME.test(name) ? textsIn(each) : linksInStream(each)))
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
