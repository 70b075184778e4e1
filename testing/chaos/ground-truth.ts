/** The calls and recordings as the simulator knows them. The checker compares everything with this. */
export interface GroundTruth {
  calls: Record<
    string,
    {
      status: string
      recordings: {
        link: string
        /** All versions of the file that the source has served. Stored bytes must be exactly one of them. */
        versions: { sha256: string; bytes: number }[]
        /**
         * The expected final state. `incomplete`: no attempt can download the whole file, so the part that has arrived is quarantined. If
         * that part was lost with its worker, the recording fails.
         */
        ends: 'stored' | 'quarantined' | 'failed' | 'incomplete'
        /** True if neither an acknowledged POST nor Exotel's API named the recording. */
        unacknowledged: boolean
      }[]
    }
  >
  /** Phone numbers of callers. They must not appear in Temporal. */
  privateTexts: string[]
}
