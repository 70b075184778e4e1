import type { Readable } from 'node:stream'
import { GrowingBuffer } from './growing-buffer.ts'

export type BodyStart =
  /** The body ended within the limit. */
  | { kind: 'whole'; bytes: Buffer }
  /** The body is longer than the limit. */
  | { kind: 'longer'; bytes: Buffer }
  /** The body broke within the limit; `bytes` arrived before that. */
  | { kind: 'broken'; bytes: Buffer; error: Error }

/** Reads a body up to a limit. A longer body is destroyed, which closes its connection. Never rejects. */
export async function readStart(body: Readable, maxBytes: number): Promise<BodyStart> {
  const start = new GrowingBuffer(maxBytes)
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      const space = maxBytes - start.length
      start.append(chunk.subarray(0, space))
      if (chunk.length > space) return { kind: 'longer', bytes: start.bytes() } // leaving the loop destroys the body
    }
    return { kind: 'whole', bytes: start.bytes() }
  } catch (error) {
    return { kind: 'broken', bytes: start.bytes(), error: error instanceof Error ? error : new Error(String(error)) }
  }
}
