// Rolls back the newest migration and applies it again, for a database that lacks one migration of the code.
import { execFile as execFileCallback } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'

const execFile = promisify(execFileCallback)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** Runs `rollback.sql` of the newest migration. @returns the migration's name */
export async function rollBackNewest(databaseUrl: string): Promise<string> {
  const migrations = join(root, 'prisma', 'migrations')
  const names = readdirSync(migrations, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
  const newest = names.toSorted().at(-1)!
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await client.query(readFileSync(join(migrations, newest, 'rollback.sql'), 'utf8')).finally(() => client.end())
  return newest
}

/** Applies the migrations as a release job does. */
export async function applyMigrations(databaseUrl: string): Promise<void> {
  const env = { ...process.env, DATABASE_URL: databaseUrl }
  await execFile(process.execPath, ['node_modules/prisma/build/index.js', 'migrate', 'deploy'], { cwd: root, env })
}
