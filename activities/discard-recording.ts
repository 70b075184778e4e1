import type { SourceRef } from '../workflows/contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'
import { runActivity } from './run.ts'

/** Clears the spool of a recording whose way ended without its file being used up. */
export function createDiscardRecording(deps: Pick<Dependencies, 'database' | 'spool' | 'logger' | 'alarms' | 'pauses'>) {
  return (source: SourceRef): Promise<void> =>
    runActivity(deps, source, ({ signal }) => {
      const { spool } = deps
      const file = spool.fileFor(source.callSid, source.sourceUrl)
      return spool.asWriter(file, signal, () => spool.remove(file))
    })
}
