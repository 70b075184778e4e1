import type { Readable } from 'node:stream'

export type BodyStart =
  /** The body ended within the limit. */
  | { kind: 'whole'; bytes: Buffer }
  /** The body is longer than the limit. */
  | { kind: 'longer'; bytes: Buffer }
  /** The body broke within the limit; `bytes` is what arrived before. */
  | { kind: 'broken'; bytes: Buffer; error: Error }

/** Reads a body up to a limit. A body that is longer is destroyed, which closes its connection. Never rejects. */
export async function readStart(body: Readable, maxBytes: number): Promise<BodyStart> {
  const chunks: Buffer[] = []
  let length = 0
  const bytes = (): Buffer => Buffer.concat(chunks).subarray(0, maxBytes)
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      length += chunk.length
      if (length > maxBytes) return { kind: 'longer', bytes: bytes() } // leaving the loop destroys the body
    }
    return { kind: 'whole', bytes: bytes() }
  } catch (error) {
    return { kind: 'broken', bytes: bytes(), error: error instanceof Error ? error : new Error(String(error)) }
  }
}
