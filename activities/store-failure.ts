import type { AlarmName } from '../contracts/alarm-names.ts'
import type { Alarms } from '../platform/alarm-registry.ts'
import { RetryLater } from './failures.ts'

/** Raised by each activity that uses the bucket, and cleared by the next one that succeeds. */
export const MISCONFIGURED_ALARM = 'StorageMisconfigured'

/** The bucket, the keys, the region, the clock or a right is wrong. Raises the alarm, and waits until the cause has ended. */
export function storeMisconfigured(alarms: Alarms<AlarmName>, reason: string): RetryLater {
  alarms.raise(MISCONFIGURED_ALARM, reason)
  return new RetryLater('StorageMisconfigured', reason)
}

export function storeUnavailable(reason: string): RetryLater {
  return new RetryLater('StorageUnavailable', reason)
}
