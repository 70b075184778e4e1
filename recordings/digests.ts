// What a stored object is compared with: its SHA-256, and the ETag that S3 will give it.
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'

/** Up to here one PutObject; above, parts that a broken upload can resume with. Changing it changes ETags of open uploads. */
export const SINGLE_PUT_MAX_BYTES = 1024 ** 3
/** S3 allows 10,000 parts of at least 5 MiB: enough for our limit of 6 GiB and far beyond. */
export const PART_BYTES = 64 * 1024 ** 2

export interface Digests {
  bytes: number
  /** Hex. */
  sha256: string
  /** The MD5; of a multipart upload the MD5 of its parts' MD5s and their number. */
  etag: string
}

/** One pass over the file in flat memory; `onProgress` is told the bytes read so far. */
export async function digestFile(path: string, signal: AbortSignal, onProgress: (bytes: number) => void): Promise<Digests> {
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
    const untilPartEnds = PART_BYTES - (bytes % PART_BYTES)
    part.update(chunk.subarray(0, untilPartEnds))
    if (chunk.length >= untilPartEnds) {
      closePart()
      part.update(chunk.subarray(untilPartEnds))
    }
    bytes += chunk.length
    onProgress(bytes)
  }
  if (bytes % PART_BYTES !== 0) closePart()
  return { bytes, sha256: sha256.digest('hex'), etag: bytes <= SINGLE_PUT_MAX_BYTES ? whole.digest('hex') : etagOfParts(parts) }
}

function etagOfParts(parts: Buffer[]): string {
  const all: Hash = createHash('md5')
  for (const part of parts) all.update(part)
  return `${all.digest('hex')}-${parts.length}`
}
