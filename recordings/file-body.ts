import { createReadStream, type ReadStream } from 'node:fs'

/**
 * Sends a file, or a slice of it (`end` inclusive), as the body of a request. If the file cannot be read, the request is aborted
 * and the error of the disk is thrown. The SDK adds its error listener late, and an `error` event without a listener ends the
 * process.
 */
export async function withFileBody<T>(
  path: string,
  slice: { start: number; end: number } | undefined,
  signal: AbortSignal,
  send: (body: ReadStream, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const unreadable = new AbortController()
  const body = createReadStream(path, { ...slice, highWaterMark: 256 * 1024 })
  body.on('error', (error) => unreadable.abort(error))
  try {
    return await send(body, AbortSignal.any([signal, unreadable.signal]))
  } catch (error) {
    throw unreadable.signal.aborted ? unreadable.signal.reason : error
  } finally {
    body.destroy()
  }
}
