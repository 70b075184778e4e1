// Computes the SHA-256 of a file and the ETag that S3 will give it. A stored object is compared with both.
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { z } from 'zod'

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

const partDigest = z.object({ /** Hex. */ md5: z.string(), /** Hex. */ sha256: z.string() })
/** The digests of one part of a multipart upload. */
export type PartDigest = z.infer<typeof partDigest>

export const digests = z.object({
  bytes: z.number().int().nonnegative(),
  /** Hex. */
  sha256: z.string(),
  /** The MD5 of the file. For a multipart upload: the MD5 of the MD5s of its parts, a hyphen, and the number of parts. */
  etag: z.string(),
  /** Only for a multipart upload. */
  parts: z.array(partDigest).optional(),
})
export type Digests = z.infer<typeof digests>

/** Computes all digests of a file in one pass over its bytes. */
export class FileDigest {
  readonly #sizes: UploadSizes
  readonly #sha256 = createHash('sha256')
  /** The MD5 of the whole file. Undefined if the file is too large for one PutObject. */
  #md5: Hash | undefined
  /** Undefined if the file is known to be small enough for one PutObject. */
  readonly #parts: PartDigests | undefined
  #bytes = 0

  /** @param totalBytes undefined if the size is not known in advance */
  constructor(sizes: UploadSizes, totalBytes: number | undefined) {
    this.#sizes = sizes
    if (totalBytes === undefined || totalBytes <= sizes.singlePutMaxBytes) this.#md5 = createHash('md5')
    if (totalBytes === undefined || totalBytes > sizes.singlePutMaxBytes) this.#parts = new PartDigests(sizes.partBytes)
  }

  get bytes(): number {
    return this.#bytes
  }

  update(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#sha256.update(chunk)
    this.#parts?.update(chunk)
    if (this.#bytes > this.#sizes.singlePutMaxBytes) this.#md5 = undefined
    this.#md5?.update(chunk)
  }

  /** The SHA-256 of the bytes so far, in hex. */
  sha256SoFar(): string {
    return this.#sha256.copy().digest('hex')
  }

  /** Ends the computation. */
  digest(): Digests {
    const whole = { bytes: this.#bytes, sha256: this.#sha256.digest('hex') }
    if (this.#bytes <= this.#sizes.singlePutMaxBytes) return { ...whole, etag: this.#md5!.digest('hex') }
    const parts = this.#parts!.digest()
    return { ...whole, etag: etagOfParts(parts), parts }
  }
}

class PartDigests {
  readonly #partBytes: number
  readonly #parts: PartDigest[] = []
  #md5 = createHash('md5')
  #sha256 = createHash('sha256')
  #bytes = 0

  constructor(partBytes: number) {
    this.#partBytes = partBytes
  }

  update(chunk: Buffer): void {
    for (let rest = chunk; rest.length > 0;) {
      const now = rest.subarray(0, this.#partBytes - this.#bytes)
      this.#md5.update(now)
      this.#sha256.update(now)
      this.#bytes += now.length
      if (this.#bytes === this.#partBytes) this.#close()
      rest = rest.subarray(now.length)
    }
  }

  digest(): PartDigest[] {
    if (this.#bytes > 0) this.#close()
    return this.#parts
  }

  #close(): void {
    this.#parts.push({ md5: this.#md5.digest('hex'), sha256: this.#sha256.digest('hex') })
    this.#md5 = createHash('md5')
    this.#sha256 = createHash('sha256')
    this.#bytes = 0
  }
}

/** Reads a file once, in constant memory. `onProgress` receives the bytes read so far. */
export async function digestFile(
  path: string,
  sizes: UploadSizes,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<Digests> {
  const digest = new FileDigest(sizes, undefined)
  for await (const chunk of createReadStream(path, { signal, highWaterMark: 1024 ** 2 }) as AsyncIterable<Buffer>) {
    digest.update(chunk)
    onProgress(digest.bytes)
  }
  return digest.digest()
}

function etagOfParts(parts: PartDigest[]): string {
  const all = createHash('md5')
  for (const { md5 } of parts) all.update(md5, 'hex')
  return `${all.digest('hex')}-${parts.length}`
}
