import type { Queryable } from '../../platform/database.ts'
import { eventually } from './eventually.ts'

/** Resolves when each piece of work waits for a lock in this database or has ended. Nothing else may use the database meanwhile. */
export async function untilBlocked(database: Queryable, work: Promise<unknown>[]): Promise<void> {
  let ended = 0
  const countEnd = (): void => void (ended += 1)
  for (const each of work) each.then(countEnd, countEnd)
  await eventually('all work to wait for a lock', async () => (await waiting(database)).length + ended === work.length)
}

/** Resolves when exactly this number of sessions wait for a lock, one of them for this advisory lock. */
export async function untilWaitingAt(database: Queryable, advisoryLock: number, sessions: number): Promise<void> {
  await eventually(`${sessions} sessions to wait, one of them for the advisory lock ${advisoryLock}`, async () => {
    const locks = await waiting(database)
    return locks.length === sessions && locks.includes(advisoryLock)
  })
}

/** Returns an entry for each waiting session: the number of the advisory lock, or null for another lock. */
async function waiting(database: Queryable): Promise<(number | null)[]> {
  const locks = await database.$queryRaw<{ advisoryLock: number | null }[]>`
    SELECT CASE WHEN l.locktype = 'advisory' THEN l.objid::int END AS "advisoryLock"
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE a.datname = current_database() AND NOT l.granted`
  return locks.map(({ advisoryLock }) => advisoryLock)
}
