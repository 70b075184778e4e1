import type { AudioFacts } from '../../workflows/contracts/recording.ts'

/**
 * What a file really is, by its content.
 * `good`: worth storing. `damaged`: audio, but cut off, broken or of a format that we do not take. `none`: no audio at all.
 * Reasons and remarks are sentences for people.
 */
export type Finding =
  | { kind: 'good'; audio: AudioFacts; remark?: string }
  | { kind: 'damaged'; audio: AudioFacts; reason: string }
  | { kind: 'none'; reason: string }
