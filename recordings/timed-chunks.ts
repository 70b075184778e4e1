// Reads a body from the network, and stops if its bytes arrive too slowly.
import type { Readable } from 'node:stream'

/** The limits: `idleMs` for each chunk; for the whole body `baseMs`, plus `msPerMb` for each MB that has arrived. */
export interface Pace {
  idleMs: number
  baseMs: number
  msPerMb: number
}

export class TooSlow extends Error {}

const MB = 1024 ** 2

/**
 * Yields the chunks of a body. The limit depends on the bytes that have arrived, not on the announced length, so a source cannot
 * extend it by announcing gigabytes. Only the time spent waiting for the source counts, so a slow local disk does not matter.
 * Destroys the body at the end.
 * @throws {TooSlow} or the error of the body
 */
export async function* timedChunks(body: Readable, { idleMs, baseMs, msPerMb }: Pace): AsyncGenerator<Buffer> {
  const iterator = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let bytes = 0
  let waitedMs = 0
  const tooSlow = (ms: number): TooSlow => new TooSlow(`too slow: ${bytes} bytes in ${Math.round(ms / 1000)} s`)
  try {
    for (;;) {
      const leftMs = baseMs + (bytes / MB) * msPerMb - waitedMs
      if (leftMs <= 0) throw tooSlow(waitedMs)
      const limitMs = Math.min(idleMs, leftMs)
      const timer = setTimeout(() => body.destroy(tooSlow(waitedMs + limitMs)), limitMs)
      const startedAt = performance.now()
      const next = await iterator.next().finally(() => clearTimeout(timer))
      waitedMs += performance.now() - startedAt
      if (next.done) return
      bytes += next.value.length
      yield next.value
    }
  } finally {
    body.destroy()
  }
}
