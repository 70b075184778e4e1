/** What really happened, as only Exotel knows it: what the checker compares everything with. */
export interface GroundTruth {
  calls: Record<
    string,
    {
      status: string
      recordings: {
        link: string
        /** Every version of the file that the source served at one time. Stored bytes have to be one of them, from the first byte to the last. */
        versions: { sha256: string; bytes: number }[]
        /**
         * The end that it deserves once all trouble is over. `incomplete`: no attempt can bring all of it, so that what has arrived is
         * quarantined, and it fails if that was lost with its worker.
         */
        ends: 'stored' | 'quarantined' | 'failed' | 'incomplete'
        /** Neither an acknowledged POST nor Exotel's API ever named it. */
        unacknowledged: boolean
      }[]
    }
  >
  /** Of callers: these must be nowhere in Temporal. */
  privateTexts: string[]
}
