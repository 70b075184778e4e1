import { concludeRecording } from '../calls/conclude-recording.ts'
import { unknownKeys } from '../calls/object-owners.ts'
import { isDatabaseOutage, sqlStateOf } from '../platform/database-errors.ts'
import { counter } from '../platform/metrics.ts'
import { failureOf, objectOf, type Conclusion } from '../contracts/recording.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'
import { deleteErasedObject } from './erased-objects.ts'
import { RetryLater } from './failures.ts'
import { reportGivenUp } from './given-up.ts'
import { createExpiringAlarm } from './expiring-alarm.ts'

const concluded = counter('recordings_concluded_total', 'Concluded recordings, by state and failure code', ['state', 'code'])

type Needs = Pick<Dependencies, 'database' | 'bucketObjects' | 'recovery' | 'logger' | 'alarms' | 'waitScale'>

/** Less than the activity's timeout of 20 s. If the store needs longer, the nightly object check deletes the object. */
const DELETE_DEADLINE_MS = 8000
/** Long, because a person has to correct the cause. A retry before that would fail in the same way. */
const REJECTED_PAUSE_MS = 3600_000

/**
 * Step 4: writes the outcome of a recording to the rows. Idempotent, see {@link concludeRecording}. For an erased call nothing is written,
 * and the object that this run uploaded is deleted.
 */
export function createUpdateCall(deps: Needs) {
  const { database, recovery, logger, waitScale } = deps
  const rejectedAlarm = createExpiringAlarm(deps.alarms, {
    name: 'OutcomeRejected',
    quietMs: 2 * REJECTED_PAUSE_MS * waitScale,
    reason: (calls) =>
      `PostgreSQL refuses to store the outcome of recordings of these calls: ${calls.join(', ')}. See the errors in the log`,
  })
  return async (conclusion: Conclusion): Promise<void> => {
    const { callSid, outcome, id } = conclusion
    // The fast path and the durable path use one id. If their outcomes differ, both are recorded: each may have stored another object.
    const attempt = id === undefined ? currentAttempt().idempotencyKey : [id, outcome.state, objectOf(outcome)?.key ?? ''].join('/')
    const context = { attempt, plan: recovery.plan }
    const { givenUp, erased } = await concludeRecording(database, conclusion, context).catch((error: unknown) => {
      logger.error({ error, callSid }, 'Recording outcome cannot be written')
      if (!isDatabaseOutage(error)) rejectedAlarm.raise(callSid)
      throw asRetryLater(deps, error)
    })
    rejectedAlarm.clear(callSid)
    const state = erased ? 'erased' : outcome.state
    const code = failureOf(outcome)?.code ?? ''
    concluded.inc({ state, code })
    logger.info({ callSid, state, ...(code && { code }) }, `Recording ${state}`)
    if (givenUp) reportGivenUp(logger, { callSid, code })
    if (erased) await deleteObject(deps, conclusion)
  }
}

/** Every error is retried, because a run must not end before its row is written. */
function asRetryLater({ waitScale }: Needs, error: unknown): RetryLater {
  if (isDatabaseOutage(error)) return new RetryLater('DatabaseUnavailable', 'PostgreSQL is unavailable: the outcome cannot be written')
  const reason = `PostgreSQL refuses to store the outcome (SQLSTATE ${sqlStateOf(error) ?? 'unknown'})`
  return new RetryLater('OutcomeRejected', reason, REJECTED_PAUSE_MS * waitScale)
}

/** Best effort: if this fails, the nightly object check deletes the object. */
async function deleteObject(deps: Needs, { callSid, outcome }: Conclusion): Promise<void> {
  const { database, bucketObjects, logger } = deps
  const object = objectOf(outcome)
  if (object?.bucket !== bucketObjects.bucket) return
  const { key } = object
  try {
    // Two recordings with the same bytes share an object, and one of them may be of a call that is not erased.
    const ownedByNobody = (await unknownKeys(database, [key])).length > 0
    if (!ownedByNobody) return
    await deleteErasedObject(deps, { callSid, key }, AbortSignal.any([currentAttempt().signal, AbortSignal.timeout(DELETE_DEADLINE_MS)]))
    logger.info({ key }, 'Recording object of an erased call deleted')
  } catch (error) {
    logger.warn({ error, key }, 'Recording object of an erased call cannot be deleted: the next object check deletes it')
  }
}
