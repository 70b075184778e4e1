// Parameters and answers that the operations on calls share.
import { z } from 'zod'
import { CALL_SID_PATTERN, type CallSid } from '../../contracts/call-sid.ts'
import { maskNumber, maskNumbersIn } from '../../calls/mask-number.ts'
import { CALL_STATES, type CallSummary } from '../../calls/list-calls.ts'
import { includesRole, type Role } from '../../accounts/roles.ts'

export const callSid = z
  .string()
  .regex(new RegExp(`^${CALL_SID_PATTERN}$`), 'must be 1 to 64 letters, digits, "-" or "_"')
  .transform((text) => text as CallSid)
  .meta({ examples: ['80bfbec2d78bbbf10fb851f4fa165211'] })
/** The number of a row. */
export const rowId = z.string().regex(/^[1-9]\d{0,17}$/, 'must be a positive whole number')

export const moment = z.iso.datetime()
export const count = z.int().nonnegative()
const text = z.string().nullable()

export const callSummary = z.strictObject({
  callSid: z.string(),
  time: moment,
  status: text,
  direction: text,
  from: text,
  to: text,
  agent: text,
  exophone: text,
  customField: text,
  durationSeconds: count.nullable(),
  state: z.enum(CALL_STATES),
  stateSince: moment,
  errorCode: text,
  error: text,
  nextTryAt: moment.nullable(),
  givenUpAt: moment.nullable(),
})

/** Without the right to see phone numbers, most of their digits are masked. The ExoPhone is the company's own number. */
export function asSeenBy<Call extends CallSummary>(role: Role, call: Call): Call {
  if (includesRole(role, 'operator')) return call
  return {
    ...call,
    from: maskNumber(call.from),
    to: maskNumber(call.to),
    agent: maskNumber(call.agent),
    customField: maskNumbersIn(call.customField),
  }
}
