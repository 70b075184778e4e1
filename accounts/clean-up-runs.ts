// When each kind of clean-up last came to its end: a row for each, so that a restart forgets nothing.
import { Prisma, type Queryable } from '../platform/database.ts'

export interface OverdueCleanUp {
  kind: string
  /** Null where it never came to its end. */
  finishedAt: Date | null
  /** Why its newest run failed; null where none has failed since it finished. */
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

/** Later moments were written while the clock of the database was ahead. */
const LATEST = Prisma.sql`now() + interval '1 minute'`

/** Those of the kinds that have not finished for so long. One that is new, or has finished in the future, counts from now on. */
export async function overdueCleanUps(database: Queryable, kinds: readonly string[], afterMs: number): Promise<OverdueCleanUp[]> {
  await database.$executeRaw`INSERT INTO clean_ups (kind) SELECT unnest(${kinds}::text[]) ON CONFLICT (kind) DO NOTHING`
  await database.$executeRaw`UPDATE clean_ups SET finished_at = now() WHERE kind = ANY(${kinds}) AND finished_at > ${LATEST}`
  return database.$queryRaw<OverdueCleanUp[]>`
    SELECT kind, finished_at AS "finishedAt", problem FROM clean_ups
    WHERE kind = ANY(${kinds})
      AND COALESCE(finished_at, known_since) NOT BETWEEN now() - make_interval(secs => ${afterMs / 1000}::float8) AND ${LATEST}
    ORDER BY kind`
}
