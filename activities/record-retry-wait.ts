import { recordRetryWait } from '../calls/record-retry-wait.ts'
import type { RetryWait } from '../contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'
import { runActivity } from './run.ts'

/** The rows say what the workflow waits for, and until when. */
export function createRecordRetryWait(deps: Pick<Dependencies, 'database' | 'logger' | 'alarms' | 'pauses'>) {
  return (wait: RetryWait): Promise<void> => runActivity(deps, wait, () => recordRetryWait(deps.database, wait))
}
