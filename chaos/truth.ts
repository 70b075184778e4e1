/** What really happened, as only Exotel knows it: what the checker compares everything with. */
export interface Truth {
  calls: Record<
    string,
    {
      status: string
      recordings: {
        link: string
        sha256: string
        bytes: number
        /** The end that it deserves once all trouble is over. */
        ends: 'stored' | 'quarantined' | 'failed'
        /** Neither an acknowledged POST nor Exotel's API ever named it. */
        unknowable: boolean
      }[]
    }
  >
  /** Of callers: these must be nowhere in Temporal. */
  privateTexts: string[]
}
