import type { CallSid } from '../contracts/call-sid.ts'
import type { Logger } from '../platform/logger.ts'
import { counter } from '../platform/metrics.ts'

const lost = counter('recordings_given_up_total', 'Missing recordings for which no further attempt follows', ['code'])

/** Reports with a log line and a metric of their own that no further attempt follows, so that this differs from a single failure. */
export function reportGivenUp(logger: Logger, { callSid, code }: { callSid: CallSid; code: string }): void {
  lost.inc({ code })
  logger.error({ callSid, code }, 'Recording given up: no further attempt follows')
}
