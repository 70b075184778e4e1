import type { SourceRef } from '../contracts/recording.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'

/** Deletes the spool files of a concluded recording. */
export function createDiscardRecording({ spool }: Pick<Dependencies, 'spool'>) {
  return (source: SourceRef): Promise<void> => {
    const file = spool.fileFor(source.callSid, source.sourceUrl)
    return spool.asWriter(file, currentAttempt(), () => spool.remove(file))
  }
}
