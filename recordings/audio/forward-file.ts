import { open, type FileHandle } from 'node:fs/promises'

const WINDOW_BYTES = 1024 ** 2
/** The longest view that can be requested. */
export const VIEW_BYTES = 256 * 1024

/** Bytes that are read from start to end. */
export interface ForwardBytes {
  readonly size: number
  /** Returns the bytes at `offset`, fewer than `length` only at the end. The view is valid until the next call. */
  view(offset: number, length?: number): Promise<Buffer>
}

/** Reads a file from start to end through one window. Reads each byte at most once, in constant memory. */
export class ForwardFile implements ForwardBytes {
  readonly size: number
  readonly #file: FileHandle
  readonly #window: Buffer
  #start = 0
  #length = 0
  #bytesRead = 0

  private constructor(file: FileHandle, size: number) {
    this.#file = file
    this.size = size
    this.#window = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, size))
  }

  static async open(path: string): Promise<ForwardFile> {
    const file = await open(path, 'r')
    return new ForwardFile(file, (await file.stat()).size)
  }

  /** The number of bytes read from the disk so far. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /**
   * Returns the bytes at `offset`, fewer than `length` only at the end of the file. The view is valid until the next call. If `offset`
   * is before the window, its bytes are read from the disk again.
   */
  async view(offset: number, length: number = VIEW_BYTES): Promise<Buffer> {
    const end = Math.min(offset + length, this.size)
    if (offset >= end) return this.#window.subarray(0, 0)
    if (offset < this.#start || end > this.#start + this.#length) await this.#moveTo(offset)
    const from = offset - this.#start
    return this.#window.subarray(from, Math.min(end - this.#start, this.#length))
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  /** Moves the start of the window to `offset`. Keeps the bytes that it already has, and reads the rest. */
  async #moveTo(offset: number): Promise<void> {
    const keptFrom = offset - this.#start
    const isInside = keptFrom >= 0 && keptFrom < this.#length
    if (isInside) this.#window.copyWithin(0, keptFrom, this.#length)
    this.#length = isInside ? this.#length - keptFrom : 0
    this.#start = offset
    while (this.#length < this.#window.length && offset + this.#length < this.size) {
      const { bytesRead } = await this.#file.read(this.#window, this.#length, this.#window.length - this.#length, offset + this.#length)
      if (bytesRead === 0) return
      this.#length += bytesRead
      this.#bytesRead += bytesRead
    }
  }
}
