import type { SourceRef } from '../contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'
import { runActivity } from './run.ts'
import { asWriterFailure, thisAttempt } from './spool-writer.ts'

/** Clears the spool of a recording whose way ended without its file being used up. */
export function createDiscardRecording(deps: Pick<Dependencies, 'database' | 'spool' | 'logger' | 'alarms' | 'pauses'>) {
  return (source: SourceRef): Promise<void> =>
    runActivity(deps, source, async (run) => {
      const { spool } = deps
      const file = spool.fileFor(source.callSid, source.sourceUrl)
      await spool
        .asWriter(file, thisAttempt(run), () => spool.remove(file))
        .catch((error: unknown) => {
          throw asWriterFailure(deps, run, error)
        })
    })
}
