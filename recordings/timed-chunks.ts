// Reads a body from the network, and ends it when its bytes come too slowly.
import type { Readable } from 'node:stream'

/** We wait for a body `idleMs` at a time, and in total `baseMs` and `msPerMb` for each MB that has arrived. */
export interface Pace {
  idleMs: number
  baseMs: number
  msPerMb: number
}

export class TooSlow extends Error {}

const MB = 1024 ** 2

/**
 * The limit follows from the bytes that have arrived, not from an announced length: a source that announces gigabytes and sends
 * single bytes is ended as soon as one that announces nothing. Only the time counts in which we wait for the source, so that a slow
 * disk of ours is not its fault. Destroys the body in the end.
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
      const began = performance.now()
      const next = await iterator.next().finally(() => clearTimeout(timer))
      waitedMs += performance.now() - began
      if (next.done) return
      bytes += next.value.length
      yield next.value
    }
  } finally {
    body.destroy()
  }
}
