// The attempt of the running activity, for the functions that the activity calls.
import { CancelledFailure } from '@temporalio/common'
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Attempt } from '../recordings/file-turns.ts'

export interface ActivityAttempt extends Attempt {
  /** 1 for the first attempt. */
  number: number
  /** The same in each attempt of this activity, and different from that of any other activity. */
  idempotencyKey: string
  /** Temporal gets it with the next heartbeat. */
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
 * True if the workflow, or a person, cancelled the activity. An attempt also stops because it timed out, its activity is paused or no
 * longer known, or its worker shuts down. Then another attempt may be running already, and what both share must stay. The SDK puts the
 * reason that the server gave into the failure's message.
 */
export function isCancelledByWorkflow({ aborted, reason }: AbortSignal): boolean {
  return aborted && reason instanceof CancelledFailure && reason.message === 'CANCELLED'
}
