import { endBulkRetry, retryNextCalls } from '../calls/bulk-retries.ts'
import type { BulkRetryRequest } from '../contracts/maintenance.ts'
import { currentAttempt } from './attempt.ts'
import type { Dependencies } from './dependencies.ts'

/** Starts the calls of a bulk retry again. Only inserts events, which the relay sends to Temporal. */
export function createRetryCalls({ database, logger }: Pick<Dependencies, 'database' | 'logger'>) {
  return {
    /** Handles the next portion. @returns whether calls may be left */
    async retryNextCalls({ id }: BulkRetryRequest): Promise<boolean> {
      return retryNextCalls(database, id, currentAttempt().signal)
    },

    async endBulkRetry({ id, state }: BulkRetryRequest & { state: 'done' | 'failed' | 'cancelled' }): Promise<void> {
      const row = await endBulkRetry(database, id, state)
      logger.info({ id, state: row?.state, retried: row?.retried, skipped: row?.skipped }, 'Bulk retry has ended')
    },
  }
}
