// Takes the newest migration back and applies it again: a database that is one migration behind the code.
import { execFile as execFileCallback } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'

const execFile = promisify(execFileCallback)
const root = fileURLToPath(new URL('..', import.meta.url))

/** Runs the newest migration's own rollback. @returns the migration's name */
export async function rollBackNewest(databaseUrl: string): Promise<string> {
  const migrations = join(root, 'prisma', 'migrations')
  const names = readdirSync(migrations, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
  const newest = names.toSorted().at(-1)!
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await client.query(readFileSync(join(migrations, newest, 'rollback.sql'), 'utf8')).finally(() => client.end())
  return newest
}

/** As a release job does. */
export async function applyMigrations(databaseUrl: string): Promise<void> {
  const env = { ...process.env, DATABASE_URL: databaseUrl }
  await execFile(process.execPath, ['node_modules/prisma/build/index.js', 'migrate', 'deploy'], { cwd: root, env })
}
