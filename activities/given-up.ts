import type { CallSid } from '../contracts/call-sid.ts'
import type { Logger } from '../platform/logger.ts'
import { counter } from '../platform/metrics.ts'

const lost = counter('recordings_given_up_total', 'Missing recordings that nothing tries to bring any more', ['code'])

/** The last word on a recording is a notice of its own, not one more failure among many. */
export function reportGivenUp(logger: Logger, { callSid, code }: { callSid: CallSid; code: string }): void {
  lost.inc({ code })
  logger.error({ callSid, code }, 'Recording given up: nothing will try to bring it any more')
}
