import type { CallFacts } from './call-facts.ts'
import type { EndedCall } from './contracts/recording.ts'
import type { Inbox } from './recording-inbox.ts'
import type { Progress } from './recording-progress.ts'
import type { TransferSlots } from './transfer-slots.ts'

/** What the parts of one run work with. */
export interface RecordingRun {
  call: EndedCall
  facts: CallFacts
  inbox: Inbox
  progress: Progress
  slots: TransferSlots
  /** A person cancelled the run. */
  isCancelled(): boolean
}
