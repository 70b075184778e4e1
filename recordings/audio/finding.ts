import type { AudioFacts } from '../../contracts/recording.ts'

/**
 * What a file is, judged by its content.
 * `good`: complete audio of an accepted format. `incomplete`: audio of which something is missing; another download may bring it.
 * `damaged`: cannot be judged good, and another download would bring the same. `none`: certainly something else than audio.
 * Reasons and remarks are sentences for people.
 */
export type Finding =
  | { kind: 'good'; audio: AudioFacts; remark?: string }
  | { kind: 'incomplete'; audio: AudioFacts; reason: string }
  | { kind: 'damaged'; audio: AudioFacts; reason: string }
  | { kind: 'none'; reason: string }

/** The facts about bytes that cannot be read as audio. */
export const UNKNOWN_FORMAT: AudioFacts = { contentType: 'application/octet-stream', extension: 'bin' }
