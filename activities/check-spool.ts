import type { SourceRef } from '../contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'

/** Returns whether this worker's spool contains a file of the recording. If it does, the task of the recording waits in a long queue. */
export function createCheckSpool({ spool }: Pick<Dependencies, 'spool'>) {
  return (source: SourceRef): Promise<boolean> => spool.holds(spool.fileFor(source.callSid, source.sourceUrl))
}
