import type { CallFacts } from './call-facts.ts'
import type { EndedCall } from '../contracts/recording.ts'
import type { Inbox } from './recording-inbox.ts'
import type { Progress } from './recording-progress.ts'
import type { TransferSlots } from './transfer-slots.ts'

interface OpenRequest {
  /** Cancels the request and waits for its end. If it still returns a link, that link is then in the inbox. */
  end(): Promise<void>
}

/** The state that all parts of one run share. */
export interface RecordingRun {
  call: EndedCall
  facts: CallFacts
  inbox: Inbox
  progress: Progress
  slots: TransferSlots
  /** A request for Call Details that had no response yet when a link arrived. */
  openRequest?: OpenRequest
  /**
   * A recording is on the fast path, so others take the durable path: after a replay, the results of concurrent local activities may
   * arrive in another order.
   */
  isFastPathTaken?: boolean
  /** A person cancelled the run. */
  isCancelled(): boolean
}
