// The alarm about kinds of clean-up that have not finished for a day.
import { setTimeout as pause } from 'node:timers/promises'
import { overdueCleanUps, type OverdueCleanUp } from '../accounts/clean-up-runs.ts'
import { CLEAN_UP_KINDS } from '../contracts/maintenance.ts'
import type { Dependencies } from './dependencies.ts'

const NAME = 'CleanUpOverdue'
const CHECK_EVERY_MS = 5 * 60_000

/**
 * Each worker checks this itself, outside activities. So the alarm is also raised if no clean-up runs at all, and every worker clears it.
 */
export async function watchCleanUps(
  deps: Pick<Dependencies, 'database' | 'alarms' | 'cleanUp' | 'waitScale' | 'logger'>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await checkCleanUps(deps, deps.cleanUp.overdueMs).catch((error: unknown) =>
      deps.logger.warn({ error }, 'Cannot check whether clean-up is overdue'),
    )
    await pause(CHECK_EVERY_MS * deps.waitScale, undefined, { signal }).catch(() => {})
  }
}

/** Raises or clears the alarm. Its reason names each overdue kind. */
export async function checkCleanUps({ database, alarms }: Pick<Dependencies, 'database' | 'alarms'>, overdueMs: number): Promise<void> {
  const overdue = await overdueCleanUps(database, CLEAN_UP_KINDS, overdueMs)
  if (overdue.length > 0) alarms.raise(NAME, overdue.map(describe).join('; '))
  else alarms.clear(NAME)
}

function describe({ kind, finishedAt, problem }: OverdueCleanUp): string {
  const last = finishedAt ? `last finished ${finishedAt.toISOString()}` : 'never finished'
  return `${kind}: ${last}, ${problem ?? 'no run has failed'}`
}
