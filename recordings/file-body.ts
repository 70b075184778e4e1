import { createReadStream, type ReadStream } from 'node:fs'

/**
 * Sends a file, or a slice of it (`end` inclusive), as the body of a request. Where it cannot be read, the request is aborted
 * and the disk's error thrown: the SDK does not listen to a body's errors from its first moment on, and one that nobody
 * listens to ends the process.
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
