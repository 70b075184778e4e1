// Waveform peaks of recordings: the result that is stored, and inputs and results of the workflows that compute them. Temporal keeps the
// latter in histories: change them only by adding optional fields.

/** Peaks as a player draws them. */
interface WaveformPeaks {
  /** One or two channels: of two, the first is the agent and the second the customer. Each point is the loudest sample: 255 is full scale. */
  channels: Uint8Array[]
  durationSeconds: number
}

export type PeaksResult =
  | { kind: 'peaks'; peaks: WaveformPeaks }
  /** `isTemporary`: the reason may end, so the peaks are computed again later. */
  | { kind: 'none'; reason: string; isTemporary?: true }

/** `background` leaves most of the worker's time to its other work. A `listener` waits for the result. */
export type PeaksPriority = 'background' | 'listener'

export interface PeaksRequest {
  /** `recordings.id` */
  recordingId: string
  priority: PeaksPriority
}

/**
 * `none`: no peaks can be computed. `known`: the result was known before. `gone`: there is no stored recording, or its call is erased.
 */
export interface PeaksOutcome {
  kind: 'peaks' | 'none' | 'known' | 'gone'
}

export interface WithoutPeaksRequest {
  /** Only recordings with a lower id. Absent: starts with the newest. */
  before?: string
}

export interface WithoutPeaksPage {
  recordingIds: string[]
  /** Where the next page starts. Absent: this was the last page. */
  before?: string
}

/** What one run of `PeaksWorkflow` did. */
export type PeaksSummary = Record<PeaksOutcome['kind'] | 'failed', number>
