import { noteWait } from '../calls/note-wait.ts'
import type { Wait } from '../contracts/recording.ts'
import type { Dependencies } from './dependencies.ts'
import { runActivity } from './run.ts'

/** The rows say what the workflow waits for, and until when. */
export function createNoteWait(deps: Pick<Dependencies, 'database' | 'logger' | 'alarms' | 'pauses'>) {
  return (wait: Wait): Promise<void> => runActivity(deps, wait, () => noteWait(deps.database, wait))
}
