// Lists calls, and shows one with its history.
import { z } from 'zod'
import type { AccountsContext } from '../../accounts/context.ts'
import { includesRole } from '../../accounts/roles.ts'
import { readCallHistory } from '../../calls/call-history.ts'
import { CALL_STATES, listCalls, MIN_PHONE_DIGITS, type CallFilters } from '../../calls/list-calls.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
import { recordingWorkflowId } from '../../contracts/names.ts'
import type { Database } from '../../platform/database.ts'
import { problem } from '../../platform/http-problems.ts'
import { readCursor, writeCursor } from '../cursor.ts'
import type { Limits } from '../limits.ts'
import { identityOf } from '../middleware/authenticate.ts'
import { requireRole, roleRequired } from '../middleware/require-role.ts'
import { operation, type Operation } from '../operation.ts'
import { plain } from '../plain.ts'
import { asSeenBy, callSid, callSummary, count, moment } from './call-parameters.ts'

export interface CallRoutesDependencies {
  database: Database
  accounts: AccountsContext
  limits: Limits
  temporalUi: TemporalUi | undefined
}

/** Where Temporal's Web UI shows our workflows. */
export interface TemporalUi {
  url: string
  namespace: string
}

const DEFAULT_PAGE = 50
const LARGEST_PAGE = 200
const MAX_TEXT = 500
const LONGEST_SECONDS = 7 * 24 * 3600

const time = z.iso.datetime({ offset: true, error: 'must be a time such as 2026-11-29T10:00:00Z' }).transform((text) => new Date(text))
const wholeNumber = (max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, 'must be a whole number')
    .transform(Number)
    .refine((value) => value <= max, `must be at most ${max}`)
const phone = z
  .string()
  .max(30)
  .regex(/^[\s\d+().-]*$/, 'must consist of digits, in any spelling')
  .refine((text) => text.replaceAll(/\D/g, '').length >= MIN_PHONE_DIGITS, `must have at least ${MIN_PHONE_DIGITS} digits`)

/** The fields of all requests that filter calls. */
export const filterFields = {
  state: z.enum(CALL_STATES).optional(),
  errorCode: z
    .string()
    .regex(/^[A-Za-z]{1,50}$/, 'must be a failure code')
    .optional(),
  from: time.optional(),
  to: time.optional(),
  direction: z.enum(['inbound', 'outbound']).optional(),
  agent: phone.optional(),
  exophone: phone.optional(),
  customField: z.string().min(1).max(MAX_TEXT).optional(),
  minSeconds: wholeNumber(LONGEST_SECONDS).optional(),
  maxSeconds: wholeNumber(LONGEST_SECONDS).optional(),
  callSid: callSid.optional(),
  phone: phone.meta({ description: `A number in any spelling, or its last ${MIN_PHONE_DIGITS} or more digits. For operators` }).optional(),
}

interface Ranges {
  from?: Date | undefined
  to?: Date | undefined
  minSeconds?: number | undefined
  maxSeconds?: number | undefined
}

/** Rejects ranges that end before they begin. */
export function withValidRanges<Schema extends z.ZodType<Ranges>>(schema: Schema): Schema {
  return schema
    .refine(({ from, to }) => !from || !to || from < to, { path: ['to'], message: 'must be later than from' })
    .refine(({ minSeconds = 0, maxSeconds = LONGEST_SECONDS }) => minSeconds <= maxSeconds, {
      path: ['maxSeconds'],
      message: 'must not be less than minSeconds',
    })
}
export const callFilters = withValidRanges(z.strictObject(filterFields))

/** The filters of the list, and where its page starts. */
const callQuery = withValidRanges(
  z.strictObject({
    ...filterFields,
    limit: wholeNumber(LARGEST_PAGE)
      .refine((value) => value > 0, 'must be at least 1')
      .optional(),
    cursor: z.string().max(500).optional(),
  }),
)

type CallQuery = z.infer<typeof callQuery>

const callPage = z.strictObject({
  calls: z.array(callSummary),
  next: z.string().nullable().meta({ description: 'The cursor of the next page; null on the last one' }),
})

const text = z.string().nullable()
const callHistory = z.strictObject({
  call: callSummary.extend({
    accountSid: text,
    startedAt: moment.nullable(),
    endedAt: moment.nullable(),
    createdAt: moment,
    concludedStatus: text,
  }),
  recordings: z.array(
    z.strictObject({
      id: z.string(),
      sourceUrl: z.string(),
      state: z.enum(['awaiting', 'failed', 'quarantined', 'stored', 'erased']),
      stateSince: moment,
      errorCode: text,
      error: text,
      nextTryAt: moment.nullable(),
      givenUpAt: moment.nullable(),
      bucket: text,
      objectKey: text,
      bytes: z.number().nullable(),
      sha256: text,
      contentType: text,
      codec: text,
      sampleRate: count.nullable(),
      channels: count.nullable(),
      durationSeconds: z.string().nullable(),
      remark: text,
    }),
  ),
  events: z.array(
    z.strictObject({
      id: z.string(),
      source: z.string(),
      route: z.string(),
      sourceUrls: z.array(z.string()),
      receivedAt: moment,
      relayState: z.string(),
      relayedAt: moment.nullable(),
      relayError: text,
      nextRelayAt: moment,
      problem: text,
    }),
  ),
  attempts: z.array(
    z.strictObject({
      id: z.string(),
      sourceUrl: text,
      state: z.string(),
      errorCode: text,
      error: text,
      objectKey: text,
      concludedAt: moment,
    }),
  ),
  accesses: z.array(
    z.strictObject({
      id: z.string(),
      recordingId: z.string(),
      kind: z.enum(['play', 'download']),
      userEmail: z.string(),
      createdAt: moment,
    }),
  ),
  actions: z.array(operatorAction()),
  workflow: z.strictObject({ id: z.string(), url: text }),
})

export function operatorAction() {
  return z.strictObject({
    id: z.string(),
    action: z.string(),
    userEmail: z.string(),
    callSid: text,
    recordingId: text,
    subject: text,
    reason: text,
    result: z.enum(['started', 'done', 'repeated', 'refused', 'failed']),
    detail: text,
    createdAt: moment,
    finishedAt: moment.nullable(),
  })
}

export function callOperations(deps: CallRoutesDependencies): Operation[] {
  const { accounts, limits } = deps
  const viewer = {
    method: 'get',
    tag: 'calls',
    security: 'user',
    role: 'viewer',
    guards: [limits.perAddress('general'), requireRole(accounts, 'viewer')],
    statuses: [200],
    problems: [],
  } satisfies Partial<Operation>
  return [
    operation({
      ...viewer,
      path: '/api/calls',
      summary: 'Lists calls, the newest first. Phone numbers are masked for viewers',
      query: callQuery,
      answer: callPage,
      handle: async (_body, _request, response, { query }) => plain(await readCallPage(deps, identityOf(response), query)),
    }),
    operation({
      ...viewer,
      path: '/api/calls/{callSid}',
      summary: 'Shows a call with its recordings, events, concluded runs, listeners, and actions of operators',
      parameters: z.strictObject({ callSid }),
      answer: callHistory,
      handle: async (_body, _request, response, { path }) => plain(await readCall(deps, identityOf(response), path.callSid)),
    }),
  ]
}

type Viewer = ReturnType<typeof identityOf>

/** @throws {Problem} `role_required`, `invalid_fields` */
async function readCallPage(
  { database, accounts }: CallRoutesDependencies,
  { role }: Viewer,
  { cursor, limit = DEFAULT_PAGE, ...filters }: CallQuery,
) {
  // A viewer could find out a masked number by searching for it.
  const searchesNumbers = filters.phone !== undefined || filters.agent !== undefined
  if (searchesNumbers && !includesRole(role, 'operator')) throw roleRequired('operator')
  const list = JSON.stringify(Object.entries(filters satisfies CallFilters).toSorted())
  const after = cursor === undefined ? undefined : await readCursor(accounts.keys, list, cursor)
  const calls = await listCalls(database, filters, { after, limit: limit + 1 })
  const page = calls.slice(0, limit)
  const last = calls.length > limit ? page.at(-1) : undefined
  return { calls: page.map((call) => asSeenBy(role, call)), next: last ? await writeCursor(accounts.keys, list, last) : null }
}

/** @throws {Problem} `not_found` */
async function readCall({ database, temporalUi }: CallRoutesDependencies, { role }: Viewer, callSid: CallSid) {
  const history = await readCallHistory(database, callSid)
  if (!history) throw problem('not_found', 'There is no call with this CallSid')
  const id = recordingWorkflowId(callSid)
  const url = temporalUi ? `${temporalUi.url}/namespaces/${encodeURIComponent(temporalUi.namespace)}/workflows/${id}` : null
  return { ...history, call: asSeenBy(role, history.call), workflow: { id, url } }
}
