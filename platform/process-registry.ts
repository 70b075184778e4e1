// Each process reports itself in PostgreSQL, with its alarms, so that the API can list all of them.
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Database, Queryable } from './database.ts'
import type { Logger } from './logger.ts'

interface ProcessReport {
  state: string
  /** The circuit breaker around S3 of a worker. */
  breaker?: string
  alarms: ReportedAlarm[]
}

interface ReportedAlarm {
  name: string
  reason: string
  reasonAt: string
  since: string
}

export interface RunningProcess {
  id: string
  kind: 'api' | 'worker'
  name: string
  pid: number
  version: string
  state: string
  breaker: string | null
  alarms: ReportedAlarm[]
  startedAt: Date
  seenAt: Date
}

const EVERY_MS = 5000
/** A process that has not reported itself for this long is not running, or cannot reach PostgreSQL. */
const STALE_SECONDS = 20
/** Then its row is deleted. */
const FORGOTTEN_SECONDS = 600

interface Registration {
  database: Database
  kind: RunningProcess['kind']
  /** Default: the name of the machine. */
  name?: string | undefined
  report: () => ProcessReport
  /** Nothing is reported before this resolves. */
  ready: Promise<unknown>
  logger: Logger
  everyMs?: number
}

/** Reports the process until it is stopped. While PostgreSQL is unavailable, the process disappears from the list. */
export function registerProcess({ database, kind, name, report, ready, logger, everyMs = EVERY_MS }: Registration): {
  stop(): Promise<void>
} {
  const stopping = new AbortController()
  const id = randomUUID()
  const own = { id, kind, name: name ?? hostname(), pid: process.pid, version: versionOfCode() }
  let isReported = true
  const done = run()
  return {
    async stop() {
      stopping.abort()
      await done
      await database.$executeRaw`DELETE FROM processes WHERE id = ${id}::uuid`
    },
  }

  async function run(): Promise<void> {
    await Promise.race([ready, new Promise((resolve) => stopping.signal.addEventListener('abort', resolve))])
    while (!stopping.signal.aborted) {
      try {
        await writeReport(database, own, report())
        isReported = true
      } catch (error) {
        if (isReported) logger.warn({ error }, 'This process cannot report itself: it is missing from the list of processes')
        isReported = false
      }
      await pause(everyMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }
}

async function writeReport(
  database: Queryable,
  { id, kind, name, pid, version }: Pick<RunningProcess, 'id' | 'kind' | 'name' | 'pid' | 'version'>,
  { state, breaker, alarms }: ProcessReport,
): Promise<void> {
  await database.$executeRaw`
    WITH forgotten AS (
      DELETE FROM processes WHERE seen_at < now() - make_interval(secs => ${FORGOTTEN_SECONDS}::int) AND id <> ${id}::uuid
    )
    INSERT INTO processes (id, kind, name, pid, version, state, breaker, alarms)
    VALUES (${id}::uuid, ${kind}, ${name}, ${pid}::int, ${version}, ${state}, ${breaker ?? null}, ${JSON.stringify(alarms)}::jsonb)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, breaker = excluded.breaker, alarms = excluded.alarms, seen_at = now()`
}

/** The processes that reported themselves within the last seconds. */
export function listProcesses(database: Queryable): Promise<RunningProcess[]> {
  return database.$queryRaw<RunningProcess[]>`
    SELECT id, kind, name, pid, version, state, breaker, alarms, started_at AS "startedAt", seen_at AS "seenAt" FROM processes
    WHERE seen_at > now() - make_interval(secs => ${STALE_SECONDS}::int) ORDER BY kind, name, started_at`
}

/** The version in package.json, which is above the folder of the compiled code. */
function versionOfCode(): string {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const file = join(folder, 'package.json')
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version?: string }).version ?? 'unknown'
    if (folder === dirname(folder)) return 'unknown'
  }
}
