// The faults of the simulator by name: how Exotel misbehaves, and the expected final state of the recording.

export const FAULTS = {
  none: { ends: 'stored' },
  /** The webhook with the link is late. */
  'late-url': { ends: 'stored' },
  /** 404 at first. */
  'not-found-first': { ends: 'stored' },
  /** The recording is sent slowly, in small chunks. */
  'slow-drip': { ends: 'stored' },
  /** The first two transfers break in the middle. */
  cut: { ends: 'stored' },
  /** Every response has a Content-Length above the number of bytes sent. */
  'wrong-length': { ends: 'quarantined', code: 'RecordingDamaged' },
  /** A login page with status 200. */
  html: { ends: 'failed', code: 'RecordingInvalid' },
  /** 401 for this recording, although the key is right. */
  unauthorized: { ends: 'failed', code: 'ExotelUnauthorized' },
  /** 429 with Retry-After at first. */
  'rate-limited': { ends: 'stored' },
  /** 503 at first. */
  'server-error': { ends: 'stored' },
  /** Redirects to a pre-signed link on another host, which refuses credentials. */
  'redirect-s3': { ends: 'stored' },
  /** Redirects to the metadata service of a cloud. */
  'redirect-private': { ends: 'failed', code: 'ExotelUnavailable' },
  /** Every webhook is sent three times. */
  duplicate: { ends: 'stored' },
  /** The webhook with the link is sent first, that of the call's start last. */
  'out-of-order': { ends: 'stored' },
  /** The webhook with the link is never sent. Only Call Details contains the link. */
  'lost-webhook': { ends: 'stored' },

  // The first transfer is cut, and then the file is replaced by another version. The change is visible in:
  /** A strong ETag. */
  'changed-etag': { ends: 'stored' },
  /** Last-Modified. There is no ETag. */
  'changed-last-modified': { ends: 'stored' },
  /** A weak ETag. Length and Last-Modified do not change. */
  'changed-weak-etag': { ends: 'stored' },
  /** The length. Last-Modified does not change, and there is no ETag. */
  'changed-length': { ends: 'stored' },
  /** The length, but a 206 does not contain it: its total is `*`. */
  'changed-total-unknown': { ends: 'stored' },
  /** Nothing. */
  'changed-unannounced': { ends: 'stored' },

  // The file is replaced as above, and the server responds 206 with the new version although If-Range names the old one. The 206 has:
  /** The new ETag and Last-Modified. */
  'if-range-ignored': { ends: 'stored' },
  /** Only the new Last-Modified. */
  'if-range-ignored-date': { ends: 'stored' },
  /** No validator. */
  'if-range-ignored-bare': { ends: 'stored' },

  // The first transfer is cut, and the server responds to a request for the rest with:
  /** The whole file. */
  'range-ignored': { ends: 'stored' },
  /** 206 from another offset. */
  'range-moved': { ends: 'stored' },
  /** 206 with only the beginning of the range. */
  'range-short': { ends: 'stored' },
  /** 416, although the range exists. */
  'range-refused': { ends: 'stored' },
  /** 206 with the total `*` and no Content-Length. */
  'range-total-unknown': { ends: 'stored' },

  /** The server closes the connection after each response, as many servers do under load. */
  'connection-close': { ends: 'stored' },

  /** Chunked transfer encoding, without Content-Length. */
  chunked: { ends: 'stored' },
  /** The first two transfers break in the middle. */
  'chunked-cut': { ends: 'stored' },

  /** The link is sent in time, but responds 404 for 55 min. */
  'late-recording': { ends: 'stored' },
  /** The link responds 429 with Retry-After for 55 min. */
  'rate-limited-long': { ends: 'stored' },
  /** The link is pre-signed and expires exactly when the recording becomes available. The plain link is refused. */
  'link-expires': { ends: 'stored' },

  // Call flows: Exotel sends GET requests of the Passthru applet and events about the agent's phone, without a final Status.
  /** The last GET contains the link. */
  passthru: { ends: 'stored' },
  /** No event contains the link. */
  'passthru-no-link': { ends: 'stored' },
  /** The first GET to call-end is sent 15 min before the call ends. No event contains the link. */
  'passthru-early': { ends: 'stored' },

  // Only until 12 min after the call's end:
  /** Call Details responds 404. No event contains the link. */
  'call-unknown-first': { ends: 'stored' },
  /** The recording has no bytes. */
  'empty-first': { ends: 'stored' },
  /** The recording is refused, although the key is right. */
  'refused-first': { ends: 'stored' },

  /** The end of the connection marks the end of the file, so a cut transfer cannot be detected. */
  'until-close': { ends: 'stored' },
} as const satisfies Record<string, { ends: 'stored' | 'quarantined' | 'failed'; code?: string }>

export type Fault = keyof typeof FAULTS

export function isFault(name: string): name is Fault {
  return Object.hasOwn(FAULTS, name)
}
