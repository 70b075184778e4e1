/**
 * `complete`: no bytes are missing. `truncated`: bytes are missing. `undetectable`: bytes are missing, but the file does not show it.
 * `other`: not accepted or not readable, but possibly audio. `not audio`: certainly not audio.
 */
export type Truth = 'complete' | 'truncated' | 'undetectable' | 'other' | 'not audio'

export interface Recipe {
  name: string
  truth: Truth
  file: Buffer
  /** The files that are decoded to determine the duration. The default is the file itself. */
  decoded?: Buffer[]
}
