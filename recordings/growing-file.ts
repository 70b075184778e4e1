// A spool file that a download is writing. Its note only describes bytes that are on the disk, all from one version of the source.
import { createReadStream } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import type { KnownPart } from '../exotel/recording-version.ts'
import { FileDigest, type UploadSizes } from './digests.ts'
import type { Broken, WholeFile } from './spool-note.ts'
import type { Spool } from './spool.ts'

/** The start of a recording that an earlier attempt wrote, and its digest, which continues with the rest. */
export interface Part extends KnownPart {
  digest: FileDigest
}

/** What the note stores about the source of the bytes. */
interface Source {
  validator?: string
  totalBytes?: number
}

/**
 * Returns the part that can be continued. The part is read and compared with its note: after a crash or a power failure, the file
 * and the note may be from different times, and a file may have its length but not its bytes.
 */
export async function readPart(spool: Spool, file: string, sizes: UploadSizes, signal: AbortSignal): Promise<Part | undefined> {
  const { validator, totalBytes, synced } = await spool.note(file)
  if (!validator || !synced?.bytes || (await spool.bytesOf(file)) < synced.bytes) return undefined
  const digest = new FileDigest(sizes, totalBytes)
  const beginning = createReadStream(spool.path(file), { end: synced.bytes - 1, signal, highWaterMark: 1024 ** 2 })
  for await (const chunk of beginning as AsyncIterable<Buffer>) digest.update(chunk)
  if (digest.sha256SoFar() !== synced.sha256) return undefined
  return { from: synced.bytes, validator, ...(totalBytes !== undefined && { totalBytes }), digest }
}

/** How many bytes of the file a later attempt on this disk can reuse, according to the note. */
export async function resumableBytesOf(spool: Spool, file: string): Promise<number> {
  const { validator, synced } = await spool.note(file)
  return validator && synced ? synced.bytes : 0
}

export class GrowingFile {
  readonly #spool: Spool
  readonly #file: string
  readonly #source: Source
  readonly #handle: FileHandle
  readonly #digest: FileDigest
  #syncedBytes: number

  private constructor(at: { spool: Spool; file: string }, source: Source, handle: FileHandle, digest: FileDigest) {
    this.#spool = at.spool
    this.#file = at.file
    this.#source = source
    this.#handle = handle
    this.#digest = digest
    this.#syncedBytes = digest.bytes
  }

  /**
   * Creates an empty file. The old one must have been set aside: the new file is another inode, so that an attempt that still reads the old
   * file reads one version to its end.
   */
  static async create(spool: Spool, file: string, source: Source, sizes: UploadSizes): Promise<GrowingFile> {
    const handle = await open(spool.path(file), 'wx')
    return new GrowingFile({ spool, file }, source, handle, new FileDigest(sizes, source.totalBytes))
  }

  /** Opens the file of the part and truncates it to the end of the part. */
  static async reopen(spool: Spool, file: string, part: Part, source: Source): Promise<GrowingFile> {
    const handle = await open(spool.path(file), 'r+')
    await handle.truncate(part.from)
    return new GrowingFile({ spool, file }, source, handle, part.digest)
  }

  get bytes(): number {
    return this.#digest.bytes
  }

  get unsyncedBytes(): number {
    return this.bytes - this.#syncedBytes
  }

  /** Appends the whole chunk. If the disk is nearly full, one write may write fewer bytes than requested, without an error. */
  async append(chunk: Buffer): Promise<void> {
    for (let written = 0; written < chunk.length;) {
      const { bytesWritten } = await this.#handle.write(chunk, written, chunk.length - written, this.bytes + written)
      written += bytesWritten
    }
    this.#digest.update(chunk)
  }

  /** Records in the note what has arrived, so that a later attempt continues there. Does nothing if the source cannot be resumed. */
  async checkpoint(): Promise<void> {
    if (!this.#source.validator || this.unsyncedBytes === 0) return
    await this.#handle.datasync()
    await this.#spool.writeNote(this.#file, { ...this.#source, synced: { bytes: this.bytes, sha256: this.#digest.sha256SoFar() } })
    this.#syncedBytes = this.bytes
  }

  /** Records in the note what has arrived, and why the file is incomplete. */
  async breakOff(broken: Broken): Promise<void> {
    await this.checkpoint()
    await this.#spool.writeNote(this.#file, { ...(await this.#spool.note(this.#file)), broken })
  }

  /** Records in the note that the file is complete. */
  async complete(): Promise<WholeFile> {
    await this.#handle.datasync()
    const complete = this.#digest.digest()
    await this.#spool.writeNote(this.#file, { ...this.#source, complete })
    return complete
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}
