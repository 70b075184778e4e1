import { concludeRecording } from '../calls/conclude-recording.ts'
import { counter } from '../platform/metrics.ts'
import type { Conclusion } from '../workflows/contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'
import { giveBack } from './failures.ts'
import { noteGivenUp } from './given-up.ts'
import { runActivity } from './run.ts'

const concluded = counter('recordings_concluded_total', 'Recordings by how their way ended', ['state', 'code'])

/** Step 4: the rows say what became of the recording. Idempotent, see {@link concludeRecording}. */
export function createUpdateCall(deps: Pick<Dependencies, 'database' | 'recovery' | 'logger' | 'alarms' | 'pauses'>) {
  const { database, recovery, logger, pauses } = deps
  return (conclusion: Conclusion): Promise<void> =>
    runActivity(deps, conclusion, async ({ attempt, name }) => {
      const { givenUp } = await concludeRecording(database, conclusion, { attempt: name, plan: recovery.plan }).catch((error: unknown) => {
        // Whatever it is: without its row a run must not end.
        logger.error({ error, callSid: conclusion.callSid }, 'Recording outcome cannot be written')
        throw giveBack('DatabaseUnavailable', 'The outcome cannot be written', { attempt, pauses })
      })
      const { callSid, outcome } = conclusion
      const code = 'code' in outcome ? outcome.code : ''
      concluded.inc({ state: outcome.state, code })
      logger.info({ callSid, state: outcome.state, ...(code && { code }) }, `Recording ${outcome.state}`)
      if (givenUp) noteGivenUp(logger, { callSid, code })
    })
}
