import type { Client } from '@temporalio/client'
import { setTimeout as pause } from 'node:timers/promises'
import { withDeadline } from '../platform/deadline.ts'

export interface ConnectionWatch {
  /** Temporal has not responded for 30 s. */
  isLost(): boolean
}

const EVERY_MS = 5000
const DEADLINE_MS = 4000
const LOST_AFTER_MS = 30_000

/** Checks the connection in the background, so that a readiness probe responds at once. The caller has just used the connection. */
export function watchConnection(client: Client, signal: AbortSignal): ConnectionWatch {
  let respondedAtMs = performance.now()
  void check()
  return { isLost: () => performance.now() - respondedAtMs > LOST_AFTER_MS }

  async function check(): Promise<void> {
    while (!signal.aborted) {
      await pause(EVERY_MS, undefined, { signal }).catch(() => {})
      await withDeadline(client.workflowService.getSystemInfo({}), DEADLINE_MS).then(
        () => (respondedAtMs = performance.now()),
        () => {}, // the connection counts as lost later
      )
    }
  }
}
