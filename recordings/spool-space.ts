// Space on the worker's disk. Each transfer reserves what it needs before it writes, so that transfers together never fill the disk.
import { statfs } from 'node:fs/promises'

export interface SpoolLimits {
  maxBytes: number
  minFreeBytes: number
}

/** The disk holds as much as it may. Uploads make room. */
export class SpoolFull extends Error {}

/** A transfer whose length nobody announces reserves space in steps of this. */
const UNANNOUNCED_STEP_BYTES = 16 * 1024 ** 2

export class SpoolSpace {
  readonly #directory: string
  readonly #limits: SpoolLimits
  readonly #sizes: () => Promise<Map<string, number>>
  /** Bytes that each running transfer will need in all. */
  readonly #reserved = new Map<string, number>()

  /** @param sizes the bytes of each file that is on the disk now */
  constructor(directory: string, limits: SpoolLimits, sizes: () => Promise<Map<string, number>>) {
    this.#directory = directory
    this.#limits = limits
    this.#sizes = sizes
  }

  /**
   * Reserves space for the whole of a file, in place of its earlier reservation.
   * @throws {SpoolFull} if all reservations would exceed the limit or leave too little free disk
   */
  async reserve(file: string, totalBytes: number): Promise<void> {
    const { maxBytes, minFreeBytes } = this.#limits
    const [sizes, { bavail, bsize }] = await Promise.all([this.#sizes(), statfs(this.#directory)])
    // Nothing may be awaited from here to the reservation: others ask for space at the same time.
    const own = sizes.get(file) ?? 0
    const others = [...new Set([...sizes.keys(), ...this.#reserved.keys()])].filter((each) => each !== file)
    const written = others.reduce((sum, each) => sum + (sizes.get(each) ?? 0), 0)
    const reserved = others.reduce((sum, each) => sum + Math.max(sizes.get(each) ?? 0, this.#reserved.get(each) ?? 0), 0)
    const freeBytes = bavail * bsize - (reserved - written) - (totalBytes - own)
    const fits = reserved + totalBytes <= maxBytes
    if (fits && freeBytes >= minFreeBytes) return void this.#reserved.set(file, totalBytes)
    throw new SpoolFull(
      fits ? `The spool's disk has ${bavail * bsize} bytes left` : `The spool has reserved ${reserved} of ${maxBytes} bytes`,
    )
  }

  /** How far a file of unknown length may grow after its next reservation. A small spool can hold one, too. */
  nextStep(writtenBytes: number): number {
    return writtenBytes + Math.min(UNANNOUNCED_STEP_BYTES, this.#limits.maxBytes / 8)
  }

  release(file: string): void {
    this.#reserved.delete(file)
  }
}
