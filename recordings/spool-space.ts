// Space on the worker's disk. Each transfer reserves the space that it needs before it writes, so concurrent transfers never fill the disk.
import { statfs } from 'node:fs/promises'

export interface SpoolLimits {
  maxBytes: number
  minFreeBytes: number
}

/** The spool has no space for another file. Uploads free space. */
export class SpoolFull extends Error {}

/** A transfer of unknown length reserves space in steps of this size. */
const UNANNOUNCED_STEP_BYTES = 16 * 1024 ** 2

export class SpoolSpace {
  readonly #directory: string
  readonly #limits: SpoolLimits
  readonly #sizes: () => Promise<Map<string, number>>
  /** The total bytes that each running transfer needs. */
  readonly #reserved = new Map<string, number>()

  /** @param sizes returns the current size of each file on the disk */
  constructor(directory: string, limits: SpoolLimits, sizes: () => Promise<Map<string, number>>) {
    this.#directory = directory
    this.#limits = limits
    this.#sizes = sizes
  }

  /**
   * Reserves space for the whole file. Replaces an earlier reservation of the file.
   * @throws {SpoolFull} if all reservations would exceed the limit or leave too little free disk
   */
  async reserve(file: string, totalBytes: number): Promise<void> {
    const { maxBytes, minFreeBytes } = this.#limits
    const [sizes, { bavail, bsize }] = await Promise.all([this.#sizes(), statfs(this.#directory)])
    // No `await` from here to the reservation: other transfers reserve space concurrently.
    const own = sizes.get(file) ?? 0
    const others = [...new Set([...sizes.keys(), ...this.#reserved.keys()])].filter((each) => each !== file)
    const written = others.reduce((sum, each) => sum + (sizes.get(each) ?? 0), 0)
    const reserved = others.reduce((sum, each) => sum + Math.max(sizes.get(each) ?? 0, this.#reserved.get(each) ?? 0), 0)
    const freeBytes = bavail * bsize - (reserved - written) - (totalBytes - own)
    const fits = reserved + totalBytes <= maxBytes
    if (fits && freeBytes >= minFreeBytes) return void this.#reserved.set(file, totalBytes)
    throw new SpoolFull(
      fits
        ? `The disk of the spool has ${bavail * bsize} free bytes: a file of ${totalBytes} bytes would leave fewer than ${minFreeBytes}`
        : `The spool has reserved ${reserved} of ${maxBytes} bytes: a file of ${totalBytes} bytes does not fit`,
    )
  }

  /** The size to reserve next for a file of unknown length. In a small spool the step is smaller, so that such a file fits. */
  nextStep(writtenBytes: number): number {
    return writtenBytes + Math.min(UNANNOUNCED_STEP_BYTES, this.#limits.maxBytes / 8)
  }

  release(file: string): void {
    this.#reserved.delete(file)
  }
}
