import { problemOfDatabaseUrl } from '../platform/database-url.ts'
import { CannotStart } from '../platform/process.ts'

/**
 * The URL for the role that owns the tables.
 * @returns undefined if no setting names a database
 * @throws {CannotStart} if the URL is invalid
 */
export function ownerDatabaseUrl(): string | undefined {
  for (const setting of ['MIGRATION_DATABASE_URL', 'DATABASE_URL']) {
    const url = process.env[setting]?.trim()
    if (!url) continue
    const problem = problemOfDatabaseUrl(url)
    if (problem) throw new CannotStart(`${setting} ${problem}.`)
    return url
  }
  return undefined
}
