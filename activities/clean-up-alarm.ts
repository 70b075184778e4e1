// The alarm about kinds of clean-up that have not finished for a day.
import { setTimeout as pause } from 'node:timers/promises'
import { overdueCleanUps, type OverdueCleanUp } from '../accounts/clean-up-runs.ts'
import { CLEAN_UP_KINDS } from '../contracts/maintenance.ts'
import type { Dependencies } from './dependencies.ts'

const NAME = 'CleanUpOverdue'
const CHECK_EVERY_MS = 5 * 60_000

/**
 * Each worker looks by itself, not in an activity: so the alarm also begins where no clean-up runs at all, and ends at all workers.
 */
export async function watchCleanUps(
  deps: Pick<Dependencies, 'database' | 'alarms' | 'cleanUp' | 'waitScale' | 'logger'>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await checkCleanUps(deps, deps.cleanUp.overdueMs).catch((error: unknown) =>
      deps.logger.warn({ error }, 'Whether clean-up is overdue is not known'),
    )
    await pause(CHECK_EVERY_MS * deps.waitScale, undefined, { signal }).catch(() => {})
  }
}

/** Begins or ends the alarm; its reason names each kind that is overdue. */
export async function checkCleanUps({ database, alarms }: Pick<Dependencies, 'database' | 'alarms'>, overdueMs: number): Promise<void> {
  const overdue = await overdueCleanUps(database, CLEAN_UP_KINDS, overdueMs)
  if (overdue.length > 0) alarms.raise(NAME, overdue.map(describe).join('; '))
  else alarms.clear(NAME)
}

function describe({ kind, finishedAt, problem }: OverdueCleanUp): string {
  const last = finishedAt ? `last finished ${finishedAt.toISOString()}` : 'never finished'
  return `${kind}: ${last}, ${problem ?? 'no run has failed'}`
}
