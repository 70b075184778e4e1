// `npm run migrate`: applies the migrations of a release. A release job runs it in the project's folder.
import { CannotStart, runMain, stopSignal } from '../platform/process.ts'
import { applyMigrations, MigrationsNotApplied } from './apply-migrations.ts'
import { ownerDatabaseUrl } from './owner-database-url.ts'

runMain(async () => {
  const stopping = new AbortController()
  void stopSignal().then(() => stopping.abort())
  const report = (text: string): void => void process.stdout.write(text)
  await applyMigrations({ root: process.cwd(), ownerUrl: readOwnerUrl(), report, signal: stopping.signal }).catch((error: unknown) => {
    throw error instanceof MigrationsNotApplied ? new CannotStart(error.message) : error
  })
})

function readOwnerUrl(): string {
  const url = ownerDatabaseUrl()
  if (url === undefined)
    throw new CannotStart('Set MIGRATION_DATABASE_URL, or DATABASE_URL if the application uses the role that owns the tables.')
  return url
}
