/** The smallest allocation for a body. */
const FIRST_BYTES = 1024

/** Copies chunks into one buffer, so that memory does not depend on their number. The buffer doubles when it is full. */
export class GrowingBuffer {
  readonly #maxBytes: number
  #buffer = Buffer.alloc(0)
  #length = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get length(): number {
    return this.#length
  }

  /** @returns the size of the allocation after `length` bytes in total have been appended */
  capacityFor(length: number): number {
    if (length <= this.#buffer.length) return this.#buffer.length
    let capacity = Math.max(this.#buffer.length, FIRST_BYTES)
    while (capacity < length) capacity *= 2
    return Math.min(capacity, this.#maxBytes)
  }

  /** @throws {RangeError} if the buffer would exceed its limit */
  append(chunk: Buffer): void {
    const length = this.#length + chunk.length
    if (length > this.#maxBytes) throw new RangeError(`The buffer is limited to ${this.#maxBytes} bytes`)
    const capacity = this.capacityFor(length)
    if (capacity > this.#buffer.length) {
      const larger = Buffer.alloc(capacity)
      this.#buffer.copy(larger, 0, 0, this.#length)
      this.#buffer = larger
    }
    chunk.copy(this.#buffer, this.#length)
    this.#length = length
  }

  /** @returns the appended bytes, without a copy */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  /** Releases the memory. */
  clear(): void {
    this.#buffer = Buffer.alloc(0)
    this.#length = 0
  }
}
