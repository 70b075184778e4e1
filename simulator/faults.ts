// How Exotel misbehaves, by name: what it does instead, and the end that the recording deserves all the same.

export const FAULTS = {
  none: { ends: 'stored' },
  /** The link comes late, and the recording later still. */
  'late-url': { ends: 'stored' },
  /** 404 at first. */
  'not-found-first': { ends: 'stored' },
  /** A few kB at a time. */
  'slow-drip': { ends: 'stored' },
  /** The connection breaks in the middle, twice. */
  cut: { ends: 'stored' },
  /** Announces more bytes than it sends, always. */
  'wrong-length': { ends: 'failed', code: 'DownloadIncomplete' },
  /** A login page with status 200. */
  html: { ends: 'failed', code: 'RecordingInvalid' },
  /** 401 for this recording, though the key is right. */
  unauthorized: { ends: 'failed', code: 'ExotelUnauthorized' },
  'rate-limited': { ends: 'stored' },
  /** 503 at first. */
  'server-error': { ends: 'stored' },
  /** To a pre-signed link on another host, which refuses credentials. */
  'redirect-s3': { ends: 'stored' },
  /** To the cloud's metadata service. */
  'redirect-private': { ends: 'failed', code: 'RecordingUrlRefused' },
  /** Every webhook three times. */
  duplicate: { ends: 'stored' },
  /** The recording's webhook first, the call's start last. */
  'out-of-order': { ends: 'stored' },
  /** The webhook with the link never comes: only Call Details has it. */
  'lost-webhook': { ends: 'stored' },
} as const satisfies Record<string, { ends: 'stored' | 'failed'; code?: string }>

export type Fault = keyof typeof FAULTS

export function isFault(name: string): name is Fault {
  return Object.hasOwn(FAULTS, name)
}
