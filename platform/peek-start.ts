import { once } from 'node:events'
import type { Readable } from 'node:stream'

/** The first bytes of a body, which stay in it; none where it ends or breaks before. Never rejects: who reads the body learns of that. */
export async function peekStart(body: Readable): Promise<Buffer> {
  for (;;) {
    const chunk = body.read() as Buffer | null
    if (chunk !== null) {
      body.unshift(chunk)
      return chunk
    }
    if (body.readableEnded || body.destroyed) return Buffer.alloc(0)
    await nextChange(body)
  }
}

async function nextChange(body: Readable): Promise<void> {
  const listening = new AbortController()
  const { signal } = listening
  await Promise.race(['readable', 'end', 'close'].map((event) => once(body, event, { signal }))).catch(() => {})
  listening.abort()
}
