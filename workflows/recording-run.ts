import type { CallFacts } from './call-facts.ts'
import type { EndedCall } from '../contracts/recording.ts'
import type { Inbox } from './recording-inbox.ts'
import type { Progress } from './recording-progress.ts'
import type { TransferSlots } from './transfer-slots.ts'

interface OpenQuestion {
  /** Cancels it; a recording that its answer names all the same is in the inbox afterwards. */
  end(): Promise<void>
}

/** What the parts of one run work with. */
export interface RecordingRun {
  call: EndedCall
  facts: CallFacts
  inbox: Inbox
  progress: Progress
  slots: TransferSlots
  /** A question to Exotel that a link has overtaken. */
  question?: OpenQuestion
  /** A person cancelled the run. */
  isCancelled(): boolean
}
