// Applies the migrations of a development stack, and repairs what an interrupted start has left on the stack's own PostgreSQL.
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { applyMigrations, PRISMAS_ADVISORY_LOCK } from '../cli/apply-migrations.ts'
import { applicationConnection } from '../platform/database-url.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const HINT = {
  own: 'If an earlier start was cut, `npm run dev -- reset` begins with an empty database.',
  given: 'Check DATABASE_URL, or unset it to have a server of our own.',
}

/**
 * @param server `own` where this stack has started it and made sure that it answers; nothing is repaired on a server that was given
 * @param stopping no further attempt begins once it is aborted
 */
export async function migrate(ownerUrl: string, server: 'own' | 'given', stopping: AbortSignal): Promise<void> {
  try {
    if (server === 'own') await resolveHalfApplied(ownerUrl)
    await applyMigrations({ root, ownerUrl, report: () => {}, signal: stopping, attempts: 3, pauseMs: 1000 })
  } catch (error) {
    throw new Error(`The migrations cannot be applied: ${gistOf((error as Error).message)}. ${HINT[server]}`, { cause: error })
  }
}

/**
 * A migration is one transaction: one that was cut has changed nothing, but Prisma applies no other until it is marked as rolled
 * back. Nothing is marked while another process holds Prisma's lock, under which a migration may be running.
 */
async function resolveHalfApplied(ownerUrl: string): Promise<void> {
  const client = new pg.Client(applicationConnection(ownerUrl, {}))
  await client.connect()
  try {
    const { rows } = await client.query<{ isFree: boolean }>(
      `SELECT to_regclass('_prisma_migrations') IS NOT NULL AND pg_try_advisory_lock($1) AS "isFree"`,
      [PRISMAS_ADVISORY_LOCK],
    )
    if (!rows[0]!.isFree) return
    await client.query('UPDATE _prisma_migrations SET rolled_back_at = now() WHERE finished_at IS NULL AND rolled_back_at IS NULL')
  } finally {
    await client.end()
  }
}

/** Prisma's own sentence, out of its banner and headings. */
function gistOf(output: string): string {
  const lines = output.split('\n').map((line) => line.trim())
  const gist = lines.filter((line) => line && !/^(Loaded|Prisma |Datasource|Error:? ?P?\d*:?$|\d+ migrations?)/.test(line))
  return (gist.join(' ') || 'no word from prisma').slice(0, 500).replace(/\.$/, '')
}
