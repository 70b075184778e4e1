import { recordRetryWait } from '../calls/record-retry-wait.ts'
import type { RetryWait } from '../contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'

/** Writes to the rows what the workflow waits for, and until when. */
export function createRecordRetryWait({ database }: Pick<Dependencies, 'database'>) {
  return (wait: RetryWait): Promise<void> => recordRetryWait(database, wait)
}
