// Fills the columns for searches of calls that an earlier version of the code has recorded, in the background.
import { setTimeout as pause } from 'node:timers/promises'
import { fillCallSearch } from '../calls/call-search.ts'
import type { Database } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'

const BATCH = 500
/** Between two batches, so that webhooks and recordings have most of the database. */
const BATCH_PAUSE_MS = 50
/** Processes of an earlier version may still run. */
const LOOK_AGAIN_MS = 60_000

/** @param ready nothing is done before this resolves */
export async function fillCallSearches(
  { database, logger, ready }: { database: Database; logger: Logger; ready: Promise<unknown> },
  signal: AbortSignal,
): Promise<void> {
  await ready
  let filled = 0
  while (!signal.aborted) {
    const calls = await fillCallSearch(database, BATCH).catch((error: unknown) => {
      logger.warn({ error }, 'Calls cannot be prepared for searches: the next attempt follows in a minute')
      return 0
    })
    filled += calls
    if (calls < BATCH && filled > 0) {
      logger.info({ calls: filled }, 'Calls were prepared for searches')
      filled = 0
    }
    await pause(calls === BATCH ? BATCH_PAUSE_MS : LOOK_AGAIN_MS, undefined, { signal }).catch(() => {})
  }
}
