/** The fewest bytes that are allocated for a body. */
const FIRST_BYTES = 1024

/** Copies chunks into one buffer, so that their number costs no memory. It doubles when it is full. */
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

  /** @returns the bytes that are allocated once `length` bytes were appended */
  capacityFor(length: number): number {
    if (length <= this.#buffer.length) return this.#buffer.length
    let capacity = Math.max(this.#buffer.length, FIRST_BYTES)
    while (capacity < length) capacity *= 2
    return Math.min(capacity, this.#maxBytes)
  }

  /** @throws {RangeError} where the buffer would exceed its limit */
  append(chunk: Buffer): void {
    const length = this.#length + chunk.length
    if (length > this.#maxBytes) throw new RangeError(`The buffer takes ${this.#maxBytes} bytes at most`)
    const capacity = this.capacityFor(length)
    if (capacity > this.#buffer.length) {
      const larger = Buffer.alloc(capacity)
      this.#buffer.copy(larger, 0, 0, this.#length)
      this.#buffer = larger
    }
    chunk.copy(this.#buffer, this.#length)
    this.#length = length
  }

  /** @returns what was appended, without a copy */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  /** Releases the memory. */
  clear(): void {
    this.#buffer = Buffer.alloc(0)
    this.#length = 0
  }
}
