// Compares two downloads of a recording. Two attempts may receive different lengths of the same recording.
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { holdsMessage } from './audio/message.ts'

const REST_BYTES = 512

/** Returns true if the longer file has the same bytes, and then more of the recording. A message of a server is not part of the recording. */
export async function isBeginningOf(longer: string, path: string, bytes: number): Promise<boolean> {
  return (await hasSameBytes(longer, path, bytes)) && !holdsMessage(await bytesAt(longer, bytes))
}

async function hasSameBytes(longer: string, path: string, bytes: number): Promise<boolean> {
  const file = await open(longer, 'r')
  try {
    let at = 0
    for await (const chunk of createReadStream(path, { end: bytes - 1 }) as AsyncIterable<Buffer>) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(chunk.length), 0, chunk.length, at)
      if (bytesRead < chunk.length || !buffer.equals(chunk)) return false
      at += chunk.length
    }
    return true
  } finally {
    await file.close()
  }
}

async function bytesAt(path: string, offset: number): Promise<Buffer> {
  const file = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(REST_BYTES), 0, REST_BYTES, offset)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}
