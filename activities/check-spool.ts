import type { SourceRef } from '../contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'
import { runActivity } from './run.ts'

/** Whether this worker's spool still holds something of the recording: its task waits in a long queue and is not lost. */
export function createCheckSpool(deps: Pick<Dependencies, 'database' | 'spool' | 'logger' | 'alarms' | 'pauses'>) {
  const { spool } = deps
  return (source: SourceRef): Promise<boolean> =>
    runActivity(deps, source, () => spool.holds(spool.fileFor(source.callSid, source.sourceUrl)))
}
