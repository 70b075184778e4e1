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
  'wrong-length': { ends: 'quarantined', code: 'RecordingDamaged' },
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

  // The file is replaced by another after the first transfer of it was cut. What announces the change:
  /** A strong ETag. */
  'changed-etag': { ends: 'stored' },
  /** Last-Modified, without an ETag. */
  'changed-last-modified': { ends: 'stored' },
  /** A weak ETag. Length and Last-Modified are the same. */
  'changed-weak-etag': { ends: 'stored' },
  /** The length. Last-Modified is the same, and there is no ETag. */
  'changed-length': { ends: 'stored' },
  /** The length, and a 206 does not tell it: its total is `*`. */
  'changed-total-unknown': { ends: 'stored' },
  /** Nothing. */
  'changed-unannounced': { ends: 'stored' },

  // The same, and the server answers 206 with the new version although If-Range names the old one. The 206 carries:
  /** The new ETag and Last-Modified. */
  'if-range-ignored': { ends: 'stored' },
  /** The new Last-Modified only. */
  'if-range-ignored-date': { ends: 'stored' },
  /** No validator. */
  'if-range-ignored-bare': { ends: 'stored' },

  // The first transfer is cut, and the server answers a request for the rest with:
  /** The whole file. */
  'range-ignored': { ends: 'stored' },
  /** 206 from another offset. */
  'range-moved': { ends: 'stored' },
  /** 206 with the beginning of the range. */
  'range-short': { ends: 'stored' },
  /** 416, although the range exists. */
  'range-refused': { ends: 'stored' },
  /** 206 with the total `*` and no Content-Length. */
  'range-total-unknown': { ends: 'stored' },

  /** Every answer ends its connection, as many servers do under load. */
  'connection-close': { ends: 'stored' },

  // No Content-Length:
  chunked: { ends: 'stored' },
  /** The connection breaks in the middle, twice. */
  'chunked-cut': { ends: 'stored' },

  /** The link comes in time and answers 404 for 55 min. */
  'late-recording': { ends: 'stored' },
  /** The link answers 429 with Retry-After for 55 min. */
  'rate-limited-long': { ends: 'stored' },
  /** The link is pre-signed and expires at the moment when the recording becomes available; the plain link is refused. */
  'link-expires': { ends: 'stored' },

  // Call flows, which tell of a call by GETs of the Passthru applet and by events about the agent's phone, without a final Status:
  /** The last GET names the link. */
  passthru: { ends: 'stored' },
  /** No event names the link. */
  'passthru-no-link': { ends: 'stored' },
  /** The first GET to call-end comes while the call goes on for 15 min. No event names the link. */
  'passthru-early': { ends: 'stored' },

  // Until 12 min after the call's end:
  /** Call Details answers 404, and no event names the link. */
  'call-unknown-first': { ends: 'stored' },
  /** The recording has no bytes. */
  'empty-first': { ends: 'stored' },
  /** The recording is refused, although the key is right. */
  'refused-first': { ends: 'stored' },

  /** The end of the connection is the end of the file: HTTP cannot tell whether it was cut. */
  'until-close': { ends: 'stored' },
} as const satisfies Record<string, { ends: 'stored' | 'quarantined' | 'failed'; code?: string }>

export type Fault = keyof typeof FAULTS

export function isFault(name: string): name is Fault {
  return Object.hasOwn(FAULTS, name)
}
