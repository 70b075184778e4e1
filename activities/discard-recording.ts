import type { SourceRef } from '../workflows/contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'
import { runActivity } from './run.ts'

/** Clears the spool of a recording whose way ended without its file being used up. */
export function createDiscardRecording({ spool, logger, waitScale }: Pick<Dependencies, 'spool' | 'logger' | 'waitScale'>) {
  return ({ callSid, sourceUrl }: SourceRef): Promise<void> =>
    runActivity({ logger, waitScale }, ({ signal }) => {
      const file = spool.fileFor(callSid, sourceUrl)
      return spool.asWriter(file, signal, () => spool.remove(file))
    })
}
