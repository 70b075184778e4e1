import { VIEW_BYTES, type ForwardBytes } from '../audio/forward-file.ts'

/** The source has failed: the bytes are not the cause. */
export class SourceFailed extends Error {}

/** Reads a stream of known size from start to end. Keeps only the bytes of the current view. */
export class ForwardStream implements ForwardBytes {
  readonly size: number
  readonly #source: AsyncIterator<Buffer>
  readonly #onProgress: (bytes: number) => void
  #window: Buffer = Buffer.alloc(0)
  #start = 0
  #bytesRead = 0

  /** @param onProgress receives the number of bytes read so far */
  constructor(source: AsyncIterable<Buffer>, size: number, onProgress: (bytes: number) => void) {
    this.size = size
    this.#source = source[Symbol.asyncIterator]()
    this.#onProgress = onProgress
  }

  /** @throws {SourceFailed} or an error if `offset` is before the previous one */
  async view(offset: number, length: number = VIEW_BYTES): Promise<Buffer> {
    await this.#dropBefore(offset)
    const wanted = Math.min(length, this.size - offset)
    const pieces = [this.#window]
    let bytes = this.#window.length
    while (bytes < wanted) {
      const chunk = await this.#next()
      if (!chunk) break
      pieces.push(chunk)
      bytes += chunk.length
    }
    if (pieces.length > 1) this.#window = Buffer.concat(pieces)
    return this.#window.subarray(0, Math.max(0, wanted))
  }

  /**
   * Yields `bytes` bytes from `offset` on, fewer if the stream ends before. No view is possible afterwards.
   * @throws {SourceFailed}
   */
  async *chunks(offset: number, bytes: number): AsyncGenerator<Buffer> {
    await this.#dropBefore(offset)
    let left = bytes
    for (let chunk: Buffer | undefined = this.#window; chunk && left > 0; chunk = await this.#next()) {
      this.#window = Buffer.alloc(0)
      const part = chunk.subarray(0, left)
      left -= part.length
      if (part.length > 0) yield part
    }
  }

  /** Ends the source, also before its end. */
  async close(): Promise<void> {
    await this.#source.return?.()
  }

  async #dropBefore(offset: number): Promise<void> {
    if (offset < this.#start) throw new RangeError(`The stream was read up to ${this.#start}, so it cannot be read from ${offset}`)
    while (this.#start + this.#window.length < offset) {
      const chunk = await this.#next()
      if (!chunk) break
      this.#start += this.#window.length
      this.#window = chunk
    }
    this.#window = this.#window.subarray(offset - this.#start)
    this.#start = offset
  }

  async #next(): Promise<Buffer | undefined> {
    const next = await this.#source.next().catch((error: unknown) => {
      throw new SourceFailed('The source of the bytes has failed', { cause: error })
    })
    if (next.done) return undefined
    this.#onProgress((this.#bytesRead += next.value.length))
    return next.value
  }
}
