import type { AudioFacts } from '../../contracts/recording.ts'

/**
 * What a file is, judged by its content.
 * `good`: complete audio of an accepted format. `incomplete`: audio with missing bytes; another download may return all of it.
 * `damaged`: not accepted as good, and another download would return the same bytes. `none`: certainly not audio.
 * Reasons and remarks are sentences that operators read.
 */
export type Finding =
  | { kind: 'good'; audio: AudioFacts; remark?: string }
  | { kind: 'incomplete'; audio: AudioFacts; reason: string }
  | { kind: 'damaged'; audio: AudioFacts; reason: string }
  | { kind: 'none'; reason: string }

/** The facts for bytes that cannot be read as audio. */
export const UNKNOWN_FORMAT: AudioFacts = { contentType: 'application/octet-stream', extension: 'bin' }
