// Records when each kind of clean-up last finished. Each kind has one row, so the times survive a restart.
import { Prisma, type Queryable } from '../platform/database.ts'

export interface OverdueCleanUp {
  kind: string
  /** Null if it has never finished. */
  finishedAt: Date | null
  /** Why the newest run failed. Null if no run has failed since `finishedAt`. */
  problem: string | null
}

export async function recordCleanUpFinished(database: Queryable, kind: string): Promise<void> {
  await database.$executeRaw`
    INSERT INTO clean_ups (kind, finished_at) VALUES (${kind}, clock_timestamp())
    ON CONFLICT (kind) DO UPDATE SET finished_at = excluded.finished_at, failed_at = NULL, problem = NULL`
}

export async function recordCleanUpFailed(database: Queryable, kind: string, problem: string): Promise<void> {
  await database.$executeRaw`
    INSERT INTO clean_ups (kind, failed_at, problem) VALUES (${kind}, clock_timestamp(), ${problem})
    ON CONFLICT (kind) DO UPDATE SET failed_at = excluded.failed_at, problem = excluded.problem`
}

/** A later time was written while the clock of the database was ahead. */
const LATEST = Prisma.sql`now() + interval '1 minute'`

/** The kinds that have not finished for `afterMs`. For a kind that is new, or that finished in the future, the time starts now. */
export async function overdueCleanUps(database: Queryable, kinds: readonly string[], afterMs: number): Promise<OverdueCleanUp[]> {
  await database.$executeRaw`INSERT INTO clean_ups (kind) SELECT unnest(${kinds}::text[]) ON CONFLICT (kind) DO NOTHING`
  await database.$executeRaw`UPDATE clean_ups SET finished_at = now() WHERE kind = ANY(${kinds}) AND finished_at > ${LATEST}`
  return database.$queryRaw<OverdueCleanUp[]>`
    SELECT kind, finished_at AS "finishedAt", problem FROM clean_ups
    WHERE kind = ANY(${kinds})
      AND COALESCE(finished_at, known_since) NOT BETWEEN now() - make_interval(secs => ${afterMs / 1000}::float8) AND ${LATEST}
    ORDER BY kind`
}
