// Computes the SHA-256 of a file and the ETag that S3 will give it. A stored object is compared with both.
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'

/** The sizes that decide how a file is uploaded. S3 computes the ETag from the same sizes. */
export interface UploadSizes {
  /** Up to this size, a file is uploaded with one PutObject. Larger files are multipart uploads, which can be resumed. */
  singlePutMaxBytes: number
  partBytes: number
}

/**
 * The sizes in production; tests use smaller ones. If they change, the expected ETags of open uploads change, too. S3 allows 10,000
 * parts of at least 5 MiB, so these sizes are sufficient for our limit of 6 GiB.
 */
export const UPLOAD_SIZES: UploadSizes = { singlePutMaxBytes: 1024 ** 3, partBytes: 64 * 1024 ** 2 }

export interface Digests {
  bytes: number
  /** Hex. */
  sha256: string
  /** The MD5 of the file. For a multipart upload: the MD5 of the MD5s of its parts, a hyphen, and the number of parts. */
  etag: string
}

/** Reads the file once, in constant memory. `onProgress` receives the bytes read so far. */
export async function digestFile(
  path: string,
  { singlePutMaxBytes, partBytes }: UploadSizes,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<Digests> {
  const sha256 = createHash('sha256')
  const whole = createHash('md5')
  const parts: Buffer[] = []
  let part = createHash('md5')
  let bytes = 0
  const closePart = (): void => {
    parts.push(part.digest())
    part = createHash('md5')
  }
  for await (const chunk of createReadStream(path, { signal, highWaterMark: 1024 ** 2 }) as AsyncIterable<Buffer>) {
    sha256.update(chunk)
    whole.update(chunk)
    const untilPartEnds = partBytes - (bytes % partBytes)
    part.update(chunk.subarray(0, untilPartEnds))
    if (chunk.length >= untilPartEnds) {
      closePart()
      part.update(chunk.subarray(untilPartEnds))
    }
    bytes += chunk.length
    onProgress(bytes)
  }
  if (bytes % partBytes !== 0) closePart()
  return { bytes, sha256: sha256.digest('hex'), etag: bytes <= singlePutMaxBytes ? whole.digest('hex') : etagOfParts(parts) }
}

function etagOfParts(parts: Buffer[]): string {
  const all: Hash = createHash('md5')
  for (const part of parts) all.update(part)
  return `${all.digest('hex')}-${parts.length}`
}
