// After a failed try: again at once, after a pause, or never. Exotel's faults are counted, our waits are not.
import { isCancellation } from '@temporalio/workflow'
import { refTo, renewAccess } from './recording-activities.ts'
import { SPOOL_FILE_LOST, type FailureCode } from './contracts/failures.ts'
import type { Access, EndedCall } from './contracts/recording.ts'
import type { Failure } from './failure.ts'
import type { Inbox } from './recording-inbox.ts'

type Next = { conclude: FailureCode; error: string } | { pauseMs: number; why: string }

export interface Tries {
  after(failure: Failure): Promise<Next>
}

const SECOND_MS = 1000
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** Exotel may need this long until a recording can be had; longer where nobody told when the call ended. */
const PREPARING_MS = { afterEnd: 60 * MINUTE_MS, afterArrival: 5 * HOUR_MS }
const TROUBLE_FOR_MS = 24 * HOUR_MS
/** A try that came this much further than any before was worth it. */
const PROGRESS_BYTES = 1024 ** 2

export function openTries(call: EndedCall, inbox: Inbox, sourceUrl: string): Tries {
  const { arrivedAt, policy } = call
  let counted = 0
  let furthestBytes = 0
  let waits = 0
  let losses = 0
  let renewed = false
  let errors = 0
  let firstTroubleMs: number | undefined

  return {
    async after(failure) {
      if (failure.code !== 'ExotelUnauthorized') renewed = false // a pre-signed link may expire between two tries
      switch (failure.code) {
        case SPOOL_FILE_LOST:
          losses += 1
          return losses === 1 ? pause(0, 'downloading again') : forADay(failure, losses, 5 * MINUTE_MS)
        case 'RecordingNotFound':
          return isPreparing() ? pause(growing((waits += 1), 10 * SECOND_MS, 2 * MINUTE_MS), 'Exotel may need an hour') : count(failure)
        case 'ExotelUnauthorized':
          return afterRefusal(failure)
        case 'RecordingInvalid':
        case 'DownloadIncomplete':
        case 'ExotelUnavailable':
          return count(failure)
        case 'InternalError':
          return forADay(failure, (errors += 1), HOUR_MS)
        case 'RecordingExpired':
        case 'RecordingTooLarge':
        case 'RecordingUrlRefused':
        case 'RecordingHostNotAllowed':
        case 'RecordingDamaged':
        case 'RecordingMissing':
        case 'ObjectMissing':
        case 'Cancelled':
          return { conclude: failure.code, error: failure.message }
        default:
          return failure.code satisfies never
      }
    },
  }

  function count({ code, message, reachedBytes = 0, retryAfterMs }: Failure): Next {
    if (reachedBytes >= furthestBytes + PROGRESS_BYTES) counted = 0
    furthestBytes = Math.max(furthestBytes, reachedBytes)
    counted += 1
    if (counted >= policy.tries) return { conclude: code as FailureCode, error: message }
    return pause(
      Math.max(growing(counted, 10 * SECOND_MS, 10 * MINUTE_MS), retryAfterMs ?? 0),
      `try ${counted + 1} of ${policy.tries} follows`,
    )
  }

  /** Refused to us: a pre-signed link may help, once. */
  async function afterRefusal({ message }: Failure): Promise<Next> {
    const { access } = renewed ? { access: 'refused' as const } : await renewAccess({ ...refTo(call), sourceUrl }).catch(asUnavailable)
    if (access === 'unavailable') return count({ code: 'ExotelUnavailable', message: `${message}; Exotel's API does not answer either` })
    if (access === 'refused') return { conclude: 'ExotelUnauthorized', error: message }
    renewed = true
    return pause(0, 'trying a pre-signed link')
  }

  /** What is nobody's fault, or nobody understands: not for ever, since every try lengthens the history. */
  function forADay({ message }: Failure, nth: number, maxPauseMs: number): Next {
    firstTroubleMs ??= Date.now()
    if (Date.now() - firstTroubleMs >= TROUBLE_FOR_MS * policy.waitScale) return { conclude: 'InternalError', error: message }
    return pause(growing(nth, 10 * SECOND_MS, maxPauseMs), 'trying again for a day')
  }

  function isPreparing(): boolean {
    const endedAtMs = inbox.endedAtMs()
    const until =
      endedAtMs === undefined
        ? Date.parse(arrivedAt) + PREPARING_MS.afterArrival * policy.waitScale
        : endedAtMs + PREPARING_MS.afterEnd * policy.waitScale
    return Date.now() < until
  }

  function pause(ms: number, why: string): Next {
    return { pauseMs: ms * policy.waitScale, why }
  }
}

function asUnavailable(error: unknown): Access {
  if (isCancellation(error)) throw error
  return { access: 'unavailable' }
}

function growing(nth: number, firstMs: number, maxMs: number): number {
  return Math.min(maxMs, firstMs * 2 ** (nth - 1))
}
