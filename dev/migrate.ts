// Applies the migrations of a development stack. On the embedded PostgreSQL, first repairs migrations that were interrupted.
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { applyMigrations, PRISMAS_ADVISORY_LOCK } from '../cli/apply-migrations.ts'
import { applicationConnection } from '../platform/database-url.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const HINT = {
  own: 'To start with an empty database, run `npm run dev -- reset`.',
  given: 'Check DATABASE_URL, or unset it to use an embedded server.',
}

/**
 * @param server `own` if this stack has started the server and verified its identity. On a `given` server nothing is repaired
 * @param stopping no further attempt starts after it is aborted
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
 * Marks interrupted migrations as rolled back, without which Prisma applies no further ones. A migration is one transaction, so an
 * interrupted one has changed nothing. While another process holds Prisma's lock, a migration may be running and nothing is marked.
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

/** The error message in Prisma's output, without its banner and headings. */
function gistOf(output: string): string {
  const lines = output.split('\n').map((line) => line.trim())
  const gist = lines.filter((line) => line && !/^(Loaded|Prisma |Datasource|Error:? ?P?\d*:?$|\d+ migrations?)/.test(line))
  return (gist.join(' ') || 'Prisma printed no message').slice(0, 500).replace(/\.$/, '')
}
