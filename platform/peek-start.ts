import { Readable } from 'node:stream'

/**
 * Reads the first bytes of a body until `isEnough` is true. Returns them together with a body that still contains all bytes.
 * Never rejects: if the body breaks, reading the returned body fails.
 */
export async function peekStart(
  body: Readable,
  isEnough: (start: Buffer) => boolean,
): Promise<{ start: Buffer; body: Readable; isWhole: boolean }> {
  let start = Buffer.alloc(0)
  for (;;) {
    const chunk = await nextChunk(body)
    if (chunk) start = Buffer.concat([start, chunk])
    if (chunk && !isEnough(start)) continue
    if (body.readableEnded) return { start, body: Readable.from(start.length > 0 ? [start] : []), isWhole: true }
    if (start.length > 0 && !body.destroyed) body.unshift(start)
    return { start, body, isWhole: false }
  }
}

/** @returns undefined if the body has ended or is broken */
async function nextChunk(body: Readable): Promise<Buffer | undefined> {
  for (;;) {
    const chunk = body.read() as Buffer | null
    if (chunk) return chunk
    if (body.readableEnded || body.destroyed) return undefined
    await new Promise<void>((resolve) => {
      const events = ['readable', 'end', 'close', 'error']
      const go = (): void => {
        for (const event of events) body.off(event, go)
        resolve()
      }
      for (const event of events) body.on(event, go)
    })
  }
}
