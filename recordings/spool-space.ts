// Space on the worker's disk. Each transfer reserves the space that it needs before it writes, so concurrent transfers never fill the disk.
import { statfs } from 'node:fs/promises'

export interface SpoolLimits {
  maxBytes: number
  minFreeBytes: number
}

/** The spool has no space for another file. Uploads free space. */
export class SpoolFull extends Error {}

interface Listing {
  /** By `performance.now()`. */
  startedMs: number
  sizes: Map<string, number>
}

/** Under a high load, one listing of the directory serves many reservations. */
const LISTING_MS = 1000
/** A transfer of unknown length reserves space in steps of this size. */
const UNANNOUNCED_STEP_BYTES = 16 * 1024 ** 2

export class SpoolSpace {
  readonly #directory: string
  readonly #limits: SpoolLimits
  readonly #list: () => Promise<Map<string, number>>
  /** The total bytes that each running transfer needs. */
  readonly #reserved = new Map<string, number>()
  #listing: Listing | undefined
  #listingNow: Promise<void> | undefined
  /** The sizes that this process has changed since the listing. */
  readonly #changes = new Map<string, { atMs: number; bytes: number }>()

  /** @param list returns the current size of each file on the disk */
  constructor(directory: string, limits: SpoolLimits, list: () => Promise<Map<string, number>>) {
    this.#directory = directory
    this.#limits = limits
    this.#list = list
  }

  /**
   * Reserves space for the whole file. Replaces an earlier reservation of the file.
   * @throws {SpoolFull} if all reservations would exceed the limit or leave too little free disk
   */
  async reserve(file: string, totalBytes: number): Promise<void> {
    const isRecent = this.#listing !== undefined && performance.now() - this.#listing.startedMs < LISTING_MS
    if (isRecent && (await this.#tryReserve(file, totalBytes)) === undefined) return
    await (this.#listingNow ??= this.#listFiles().finally(() => (this.#listingNow = undefined)))
    const refusal = await this.#tryReserve(file, totalBytes)
    if (refusal !== undefined) throw new SpoolFull(refusal)
  }

  /** What changes while the directory is listed is in `#changes`, so that all who wait can use the same listing. */
  async #listFiles(): Promise<void> {
    const startedMs = performance.now()
    this.#listing = { startedMs, sizes: await this.#list() }
    for (const [file, { atMs }] of this.#changes) if (atMs < startedMs) this.#changes.delete(file)
  }

  /** @returns why there is no space */
  async #tryReserve(file: string, totalBytes: number): Promise<string | undefined> {
    const { maxBytes, minFreeBytes } = this.#limits
    const { bavail, bsize } = await statfs(this.#directory)
    // No `await` from here to the reservation: other transfers reserve space concurrently.
    const { sizes } = this.#listing!
    const own = this.#writtenOf(file)
    const others = [...new Set([...sizes.keys(), ...this.#changes.keys(), ...this.#reserved.keys()])].filter((each) => each !== file)
    const written = others.reduce((sum, each) => sum + this.#writtenOf(each), 0)
    const reserved = others.reduce((sum, each) => sum + Math.max(this.#sizeOf(each), this.#reserved.get(each) ?? 0), 0)
    const freeBytes = bavail * bsize - (reserved - written) - (totalBytes - own)
    const fits = reserved + totalBytes <= maxBytes
    if (fits && freeBytes >= minFreeBytes) return void this.#reserved.set(file, totalBytes)
    return fits
      ? `The disk of the spool has ${bavail * bsize} free bytes: a file of ${totalBytes} bytes would leave fewer than ${minFreeBytes}`
      : `The spool has reserved ${reserved} of ${maxBytes} bytes: a file of ${totalBytes} bytes does not fit`
  }

  /** Bytes that are certainly on the disk. A file that was released may have fewer bytes than it had reserved. */
  #writtenOf(file: string): number {
    return Math.min(this.#listing!.sizes.get(file) ?? 0, this.#sizeOf(file))
  }

  #sizeOf(file: string): number {
    const { startedMs, sizes } = this.#listing!
    const change = this.#changes.get(file)
    return change && change.atMs >= startedMs ? change.bytes : (sizes.get(file) ?? 0)
  }

  /** Records that the file now has this size. */
  changed(file: string, bytes: number): void {
    this.#changes.set(file, { atMs: performance.now(), bytes })
  }

  /** The size to reserve next for a file of unknown length. In a small spool the step is smaller, so that such a file fits. */
  nextStep(writtenBytes: number): number {
    return writtenBytes + Math.min(UNANNOUNCED_STEP_BYTES, this.#limits.maxBytes / 8)
  }

  /** Until the next listing, the file counts with all that it had reserved. */
  release(file: string): void {
    const bytes = this.#reserved.get(file)
    if (bytes !== undefined) this.changed(file, bytes)
    this.#reserved.delete(file)
  }
}
