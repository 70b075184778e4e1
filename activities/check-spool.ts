import type { SourceRef } from '../contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'

/** Whether this worker's spool still holds something of the recording: its task waits in a long queue and is not lost. */
export function createCheckSpool({ spool }: Pick<Dependencies, 'spool'>) {
  return (source: SourceRef): Promise<boolean> => spool.holds(spool.fileFor(source.callSid, source.sourceUrl))
}
