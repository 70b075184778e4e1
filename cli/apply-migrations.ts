// Applies the migrations with `prisma migrate deploy`. A migration that did not get a lock in time has changed nothing, so it is marked
// as rolled back and applied again. Any number of these commands may run concurrently.
import { spawn } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { applicationConnection } from '../platform/database-url.ts'

export interface MigrationOptions {
  /** Folder of prisma.config.ts. */
  root: string
  /** For the role that owns the tables. */
  ownerUrl: string
  /** Called with Prisma's output and the reason for each further attempt. */
  report: (text: string) => void
  /** No further attempt starts after it is aborted. A running attempt is completed. */
  signal: AbortSignal
  attempts?: number
  pauseMs?: number
}

/** The migrations are not applied. The message is Prisma's, or says after how many attempts the command gave up. */
export class MigrationsNotApplied extends Error {}

const ATTEMPTS = 20
const PAUSE_MS = 5000
/** Prisma holds this lock from before the first migration until after the last one. Other commands wait for it up to 10 s. */
export const PRISMAS_ADVISORY_LOCK = 72_707_369
/** lock_not_available and deadlock_detected. The same migration may succeed later. */
const LOCK_FAILURE = 'Database error code: (55P03|40P01)'

/** @throws {MigrationsNotApplied} */
export async function applyMigrations(options: MigrationOptions): Promise<void> {
  const { ownerUrl, report, signal, attempts = ATTEMPTS, pauseMs = PAUSE_MS } = options
  for (let attempt = 1; ; attempt += 1) {
    const { code, output } = await deploy(options)
    if (code === 0) return report(output)
    const reason = await reasonToRetry(ownerUrl, output)
    if (!reason) throw new MigrationsNotApplied(output)
    if (attempt >= attempts || signal.aborted)
      throw new MigrationsNotApplied(
        `${reason} after ${attempt} attempts. Migrations that failed have changed nothing: run the command again.`,
      )
    report(`${reason}. Nothing was changed; attempt ${attempt + 1} of ${attempts} follows in ${pauseMs / 1000} s.\n`)
    await pause(pauseMs, undefined, { signal }).catch(() => {})
    if (signal.aborted) throw new MigrationsNotApplied(`${reason}, and the command was stopped before another attempt.`)
  }
}

/** Runs Prisma in its own session. Otherwise Ctrl-C in a terminal would also stop it during a migration. */
function deploy({ root, ownerUrl }: MigrationOptions): Promise<{ code: number | null; output: string }> {
  const env = { ...process.env, MIGRATION_DATABASE_URL: ownerUrl }
  const args = ['node_modules/prisma/build/index.js', 'migrate', 'deploy']
  const child = spawn(process.execPath, args, { cwd: root, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, output }))
  })
}

/** @returns undefined if another attempt would fail in the same way */
async function reasonToRetry(ownerUrl: string, output: string): Promise<string | undefined> {
  if (/P1002/.test(output) && /advisory lock/.test(output)) return 'Another command applies migrations'
  if (!/P3009|P3018/.test(output)) return undefined
  const client = new pg.Client(applicationConnection(ownerUrl, {}))
  await client.connect()
  try {
    const [name] = await resolveLockFailures(client)
    if (name) return `The migration ${name} did not get a lock in time, because a transaction uses its tables`
    return (await isBeingRepeated(client)) ? 'Another command applies the same migrations' : undefined
  } finally {
    await client.end()
  }
}

/**
 * Does the same as `prisma migrate resolve --rolled-back` in one statement. A migration that another command has started meanwhile has
 * no error in `logs` and is not changed.
 */
async function resolveLockFailures(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ migration_name: string }>(
    `UPDATE _prisma_migrations SET rolled_back_at = now()
     WHERE finished_at IS NULL AND rolled_back_at IS NULL AND logs ~ $1
     RETURNING migration_name`,
    [LOCK_FAILURE],
  )
  return rows.map(({ migration_name: name }) => name)
}

/** True if another command has resolved the failure that stopped this one. It may have started that migration again. */
async function isBeingRepeated(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ held: boolean; failed: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database AND datname = current_database()
                    WHERE locktype = 'advisory' AND objid = $1 AND granted) AS held,
            EXISTS (SELECT FROM _prisma_migrations WHERE finished_at IS NULL AND rolled_back_at IS NULL) AS failed`,
    [PRISMAS_ADVISORY_LOCK],
  )
  return rows[0]!.held || !rows[0]!.failed
}
