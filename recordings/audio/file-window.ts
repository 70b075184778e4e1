import { open, type FileHandle } from 'node:fs/promises'

const WINDOW_BYTES = 256 * 1024
/** Parsers look a few frames ahead and come back: what lies so little before stays in the window. */
const BEHIND_BYTES = 16 * 1024

/** Reads small pieces all over a large file through one window, so that memory stays flat whatever the file's size. */
export class FileWindow {
  readonly size: number
  readonly #file: FileHandle
  readonly #buffer = Buffer.alloc(WINDOW_BYTES)
  #start = 0
  #length = 0

  private constructor(file: FileHandle, size: number) {
    this.#file = file
    this.size = size
  }

  static async open(path: string): Promise<FileWindow> {
    const file = await open(path, 'r')
    return new FileWindow(file, (await file.stat()).size)
  }

  /** Up to `length` bytes at `offset`, fewer or none at the end of the file; valid until the next call. */
  async bytes(offset: number, length: number): Promise<Buffer> {
    const end = Math.min(offset + length, this.size)
    if (offset < 0 || offset >= end) return this.#buffer.subarray(0, 0)
    if (offset < this.#start || end > this.#start + this.#length) await this.#fill(Math.max(0, offset - BEHIND_BYTES))
    const from = offset - this.#start
    return this.#buffer.subarray(from, Math.min(end - this.#start, this.#length))
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  async #fill(offset: number): Promise<void> {
    const { bytesRead } = await this.#file.read(this.#buffer, 0, WINDOW_BYTES, offset)
    this.#start = offset
    this.#length = bytesRead
  }
}
