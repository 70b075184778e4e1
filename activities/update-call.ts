import { concludeRecording } from '../calls/conclude-recording.ts'
import { counter } from '../platform/metrics.ts'
import type { Conclusion } from '../workflows/contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'
import { runActivity } from './run.ts'

const concluded = counter('recordings_concluded_total', 'Recordings by how their way ended', ['state', 'code'])

/** Step 4: the rows say what became of the recording. Idempotent, see {@link concludeRecording}. */
export function createUpdateCall({ database, logger, waitScale }: Pick<Dependencies, 'database' | 'logger' | 'waitScale'>) {
  return (conclusion: Conclusion): Promise<void> =>
    runActivity({ logger, waitScale }, async () => {
      await concludeRecording(database, conclusion)
      const { callSid, outcome } = conclusion
      const code = 'code' in outcome ? outcome.code : ''
      concluded.inc({ state: outcome.state, code })
      logger.info({ callSid, state: outcome.state, ...(code && { code }) }, `Recording ${outcome.state}`)
    })
}
