// The migrations that this build contains.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { CannotStart } from './process.ts'

/** The build writes this file into the folder of the compiled code. */
export const MIGRATION_LIST = 'migrations.json'

const list = fileURLToPath(new URL(`../${MIGRATION_LIST}`, import.meta.url))
const sources = fileURLToPath(new URL('../prisma/migrations', import.meta.url))

/**
 * Names of the migrations of this build in their order: from the build's list, or from the sources if the code runs without a build.
 * To be called once, when a process starts.
 * @throws {CannotStart} if neither exists
 */
export function readMigrations(): string[] {
  const names = existsSync(list) ? (JSON.parse(readFileSync(list, 'utf8')) as string[]) : listSources()
  if (names.length === 0) throw new CannotStart(`The migrations of this build are unknown: ${list} is missing. Run \`npm run build\`.`)
  return names
}

function listSources(): string[] {
  if (!existsSync(sources)) return []
  const entries = readdirSync(sources, { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted()
}
