// Lists calls, the newest first, in pages: each page starts after the last call of the one before (keyset pagination).
import { Prisma, type Queryable } from '../platform/database.ts'
import { UNPREPARED } from '../platform/statement-names.ts'

export const CALL_STATES = ['none', 'awaiting', 'not_recorded', 'failed', 'quarantined', 'stored', 'erased'] as const

export interface CallFilters {
  state?: string | undefined
  errorCode?: string | undefined
  /** The call took place at or after this time, and before that one. */
  from?: Date | undefined
  to?: Date | undefined
  direction?: 'inbound' | 'outbound' | undefined
  /** In any spelling. */
  agent?: string | undefined
  exophone?: string | undefined
  customField?: string | undefined
  minSeconds?: number | undefined
  maxSeconds?: number | undefined
  callSid?: string | undefined
  /** A number of either party in any spelling, or its last digits. */
  phone?: string | undefined
  /** Only calls whose recording, or the search for one, failed or is in quarantine. */
  retryable?: boolean | undefined
}

/** The last call of a page. */
export interface CallPosition {
  time: Date
  callSid: string
}

export interface CallSummary {
  callSid: string
  time: Date
  status: string | null
  direction: string | null
  from: string | null
  to: string | null
  agent: string | null
  exophone: string | null
  customField: string | null
  durationSeconds: number | null
  state: (typeof CALL_STATES)[number]
  stateSince: Date
  errorCode: string | null
  error: string | null
  nextTryAt: Date | null
  givenUpAt: Date | null
}

/** The columns of {@link CallSummary}. */
export const SUMMARY_COLUMNS = Prisma.sql`
  call_sid AS "callSid", COALESCE(call_time, created_at) AS time, status, direction, from_number AS "from", to_number AS "to",
  '+' || agent_number AS agent, '+' || exophone AS exophone, custom_field AS "customField", duration_seconds AS "durationSeconds",
  recording_state AS state, recording_state_since AS "stateSince", recording_error_code AS "errorCode", recording_error AS error,
  recording_next_try_at AS "nextTryAt", recording_given_up_at AS "givenUpAt"`

/** A number of fewer digits and without a country code is searched from its end. */
const FULL_NUMBER_DIGITS = 10
/** Fewer digits would match too many numbers. */
export const MIN_PHONE_DIGITS = 4

/**
 * @param after the last call of the previous page
 * @returns at most `limit` calls
 */
export function listCalls(
  database: Queryable,
  filters: CallFilters,
  { after, limit }: { after?: CallPosition | undefined; limit: number },
): Promise<CallSummary[]> {
  const conditions = [
    ...conditionsOf(filters),
    ...(after ? [Prisma.sql`(call_time, call_sid) < (${after.time}::timestamptz, ${after.callSid}::text)`] : []),
  ]
  const page = (party?: Prisma.Sql): Prisma.Sql => Prisma.sql`
    SELECT * FROM calls WHERE ${Prisma.join([...conditions, ...(party ? [party] : [])], ' AND ')}
    ORDER BY call_time DESC, call_sid DESC LIMIT ${limit}::int`
  const rows =
    filters.phone === undefined
      ? page()
      : // Each party has its own index. A call from a number to the same number is in both pages.
        Prisma.sql`
          SELECT DISTINCT ON (call_time, call_sid) * FROM (
            (${page(matchesNumber(Prisma.sql`from_reversed`, filters.phone))}) UNION ALL (${page(matchesNumber(Prisma.sql`to_reversed`, filters.phone))})
          ) AS parties ORDER BY call_time DESC, call_sid DESC LIMIT ${limit}::int`
  // Not prepared: the filters make many texts, and a plan that fits every value fits none.
  return database.$queryRaw<
    CallSummary[]
  >`SELECT ${SUMMARY_COLUMNS} FROM (${rows}) AS page ORDER BY call_time DESC, call_sid DESC ${Prisma.raw(UNPREPARED)}`
}

/** @returns how many calls match, at most `most` */
export async function countCalls(database: Queryable, filters: CallFilters, most: number): Promise<number> {
  const conditions = conditionsOf(filters)
  if (filters.phone !== undefined) {
    const [from, to] = [Prisma.sql`from_reversed`, Prisma.sql`to_reversed`].map((column) => matchesNumber(column, filters.phone!))
    conditions.push(Prisma.sql`(${from} OR ${to})`)
  }
  const [row] = await database.$queryRaw<[{ count: bigint }]>`
    SELECT count(*) FROM (SELECT FROM calls WHERE ${Prisma.join(conditions, ' AND ')} LIMIT ${most}::int) AS matching ${Prisma.raw(UNPREPARED)}`
  return Number(row.count)
}

/** The first condition holds for all calls that are filled (calls/call-search.ts); it makes the partial indexes usable. */
function conditionsOf(filters: CallFilters): Prisma.Sql[] {
  const { state, errorCode, from, to, direction, agent, exophone, customField, minSeconds, maxSeconds, callSid, retryable } = filters
  const conditions: (Prisma.Sql | false | undefined)[] = [
    Prisma.sql`call_time IS NOT NULL`,
    state !== undefined && Prisma.sql`recording_state = ${state}::text`,
    errorCode !== undefined && Prisma.sql`recording_error_code = ${errorCode}::text`,
    from && Prisma.sql`call_time >= ${from}::timestamptz`,
    to && Prisma.sql`call_time < ${to}::timestamptz`,
    direction && Prisma.sql`direction ILIKE ${direction === 'inbound' ? 'in%' : 'out%'}::text`,
    agent !== undefined && Prisma.sql`agent_number = phone_digits(${agent}::text)`,
    exophone !== undefined && Prisma.sql`exophone = phone_digits(${exophone}::text)`,
    customField !== undefined && Prisma.sql`custom_field = ${customField}::text`,
    minSeconds !== undefined && Prisma.sql`duration_seconds >= ${minSeconds}::int`,
    maxSeconds !== undefined && Prisma.sql`duration_seconds <= ${maxSeconds}::int`,
    callSid !== undefined && Prisma.sql`call_sid = ${callSid}::text`,
    retryable && Prisma.sql`recording_state IN ('failed', 'quarantined')`,
  ]
  return conditions.filter((each) => each instanceof Prisma.Sql)
}

/** @param column has reversed digits in the collation "C", in which ":" follows "9" */
function matchesNumber(column: Prisma.Sql, phone: string): Prisma.Sql {
  const digits = phone.replaceAll(/\D/g, '')
  if (digits.length >= FULL_NUMBER_DIGITS || phone.trim().startsWith('+'))
    return Prisma.sql`${column} = reverse(phone_digits(${phone}::text))`
  const lastFirst = digits.split('').toReversed().join('')
  return Prisma.sql`${column} >= ${lastFirst}::text AND ${column} < ${`${lastFirst}:`}::text`
}
