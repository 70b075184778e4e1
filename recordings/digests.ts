// What a stored object is compared with: its SHA-256, and the ETag that S3 will give it.
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'

/** How files of which size are uploaded; S3 computes their ETags accordingly. */
export interface UploadSizes {
  /** Up to this size a file is one PutObject; larger files are uploaded in parts, with which a broken upload can resume. */
  singlePutMaxBytes: number
  partBytes: number
}

/**
 * Of production; tests use smaller ones. A change changes the ETags of open uploads. S3 allows 10,000 parts of at least 5 MiB, so
 * that these sizes are enough for our limit of 6 GiB and far beyond.
 */
export const UPLOAD_SIZES: UploadSizes = { singlePutMaxBytes: 1024 ** 3, partBytes: 64 * 1024 ** 2 }

export interface Digests {
  bytes: number
  /** Hex. */
  sha256: string
  /** The MD5; of a multipart upload the MD5 of its parts' MD5s and their number. */
  etag: string
}

/** One pass over the file in flat memory; `onProgress` is told the bytes read so far. */
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
