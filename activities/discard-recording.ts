import type { SourceRef } from '../workflows/contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'
import { runActivity } from './run.ts'

/** Clears the spool of a recording whose way ended without its file being used up. */
export function createDiscardRecording(deps: Pick<Dependencies, 'spool' | 'logger' | 'alarms' | 'waitScale'>) {
  return ({ callSid, sourceUrl }: SourceRef): Promise<void> =>
    runActivity(deps, ({ signal }) => {
      const { spool } = deps
      const file = spool.fileFor(callSid, sourceUrl)
      return spool.asWriter(file, signal, () => spool.remove(file))
    })
}
