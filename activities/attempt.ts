// Gives functions that an activity calls access to the activity's current attempt.
import { CancelledFailure } from '@temporalio/common'
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Attempt } from '../recordings/file-turns.ts'

export interface ActivityAttempt extends Attempt {
  /** 1 for the first attempt. */
  number: number
  /** The same in each attempt of this activity. No other activity has the same key. */
  idempotencyKey: string
  /** The next heartbeat sends this number to Temporal. */
  reportProgress(bytes: number): void
}

const running = new AsyncLocalStorage<ActivityAttempt>()

export function withAttempt<T>(attempt: ActivityAttempt, work: () => T): T {
  return running.run(attempt, work)
}

export function currentAttempt(): ActivityAttempt {
  const attempt = running.getStore()
  if (!attempt) throw new Error('No activity is running: the worker lacks the activity interceptor')
  return attempt
}

/**
 * True if the workflow or a person cancelled the activity. An attempt is also aborted if it timed out, if its activity was paused or is
 * no longer known to the server, or if its worker shuts down. In these cases another attempt may already be running, and data that both
 * attempts share must not be deleted. The SDK puts the reason that the server gave into the failure's message.
 */
export function isCancelledByWorkflow({ aborted, reason }: AbortSignal): boolean {
  return aborted && reason instanceof CancelledFailure && reason.message === 'CANCELLED'
}
