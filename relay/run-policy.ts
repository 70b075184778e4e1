import type { Config } from '../platform/config.ts'
import type { RecordingPolicy } from '../contracts/recording.ts'

/** Far below the server's limit of 51,200 events, and enough for hundreds of attempts. */
const CONTINUE_AS_NEW_AFTER_EVENTS = 10_000

/** The settings for a run's waits and attempts. They are part of its input, so that a changed setting never breaks a replay. */
export function runPolicy(
  config: Pick<
    Config,
    | 'RECORDING_WAIT_SCALE'
    | 'RETRY_RECORDING_TRIES'
    | 'RECORDING_EXPECTED_FROM_SECONDS'
    | 'SPOOL_LOST_AFTER_SECONDS'
    | 'RECORDING_FAST_PATH_MAX_BYTES'
  >,
): RecordingPolicy {
  return {
    waitScale: config.RECORDING_WAIT_SCALE,
    tries: config.RETRY_RECORDING_TRIES,
    expectedFromSeconds: config.RECORDING_EXPECTED_FROM_SECONDS,
    spoolLostAfterMs: config.SPOOL_LOST_AFTER_SECONDS * 1000,
    continueAsNewAfterEvents: CONTINUE_AS_NEW_AFTER_EVENTS,
    ...(config.RECORDING_FAST_PATH_MAX_BYTES > 0 && { fastPathMaxBytes: config.RECORDING_FAST_PATH_MAX_BYTES }),
  }
}
