// Reads a body from the network, and ends it when its bytes come too slowly.
import type { Readable } from 'node:stream'

/** A body may be silent for `idleMs`, and may take `baseMs` and `msPerMb` for each MB that has arrived. */
export interface Pace {
  idleMs: number
  baseMs: number
  msPerMb: number
}

export class TooSlow extends Error {}

const MB = 1024 ** 2

/**
 * The limit follows from the bytes that have arrived, not from an announced length: a source that announces gigabytes and sends
 * single bytes is ended as soon as one that announces nothing.
 * Destroys the body in the end.
 * @param chunks the body, or what is decoded from it
 * @throws {TooSlow} or the error of the body
 */
export async function* timedChunks(body: Readable, chunks: Readable, { idleMs, baseMs, msPerMb }: Pace): AsyncGenerator<Buffer> {
  const iterator = chunks[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  const began = performance.now()
  let bytes = 0
  const tooSlow = (): TooSlow => new TooSlow(`too slow: ${bytes} bytes in ${Math.round((performance.now() - began) / 1000)} s`)
  try {
    for (;;) {
      const leftMs = baseMs + (bytes / MB) * msPerMb - (performance.now() - began)
      if (leftMs <= 0) throw tooSlow()
      const timer = setTimeout(() => body.destroy(tooSlow()), Math.min(idleMs, leftMs))
      const next = await iterator.next().finally(() => clearTimeout(timer))
      if (next.done) return
      bytes += next.value.length
      yield next.value
    }
  } finally {
    body.destroy()
  }
}
