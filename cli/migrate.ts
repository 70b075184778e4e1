// `npm run migrate`: applies the migrations of a release. A release job runs it in the project's folder.
import { problemOfDatabaseUrl } from '../platform/database-url.ts'
import { CannotStart, runMain, stopSignal } from '../platform/process.ts'
import { applyMigrations, MigrationsNotApplied } from './apply-migrations.ts'

runMain(async () => {
  const stopping = new AbortController()
  void stopSignal().then(() => stopping.abort())
  const report = (text: string): void => void process.stdout.write(text)
  await applyMigrations({ root: process.cwd(), ownerUrl: readOwnerUrl(), report, signal: stopping.signal }).catch((error: unknown) => {
    throw error instanceof MigrationsNotApplied ? new CannotStart(error.message) : error
  })
})

/** The URL for the role that owns the tables. */
function readOwnerUrl(): string {
  for (const setting of ['MIGRATION_DATABASE_URL', 'DATABASE_URL']) {
    const url = process.env[setting]?.trim()
    if (!url) continue
    const problem = problemOfDatabaseUrl(url)
    if (problem) throw new CannotStart(`${setting} ${problem}.`)
    return url
  }
  throw new CannotStart('Set MIGRATION_DATABASE_URL, or DATABASE_URL if the application uses the role that owns the tables.')
}
