/**
 * `complete`: nothing is missing. `truncated`: the end is missing. `undetectable`: the end is missing, and nothing in the file says so.
 * `other`: not accepted or not readable, but perhaps audio. `not audio`: certainly something else.
 */
export type Truth = 'complete' | 'truncated' | 'undetectable' | 'other' | 'not audio'

export interface Recipe {
  name: string
  truth: Truth
  file: Buffer
  /** What is decoded to know the duration; the file itself unless given. */
  decoded?: Buffer[]
}
