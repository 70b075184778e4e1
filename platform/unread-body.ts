// Ends a connection whose request was answered before its whole body had arrived.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { stopParsing } from './http-parser.ts'

/** A client that does not close its side has this time to read the response. */
const LINGER_MS = 5000
/** Bytes that are still read meanwhile: a client that sends its whole body before it reads gets the response, too. */
const LINGER_BYTES = 2 * 1024 * 1024

/**
 * The response says `Connection: close` if it begins before the body has ended. Once it is sent, nothing of the connection is parsed
 * any more. Node itself would parse the rest of the body, for as long as the client sends it.
 * @returns a function to call when the whole body has arrived: the connection stays open
 */
export function closeBeforeBodyEnds(request: IncomingMessage, response: ServerResponse): () => void {
  const { shouldKeepAlive } = response
  response.shouldKeepAlive = false
  // Before the listener of Node, which begins to discard the body.
  response.prependOnceListener('finish', () => {
    if (!request.complete) linger(request.socket)
  })
  return () => (response.shouldKeepAlive = shouldKeepAlive)
}

/**
 * Sends FIN, then discards what comes, without parsing it, until the client has closed its side too. A socket that is closed at once
 * while the client still sends resets the connection, and the client loses the response.
 */
function linger(socket: Socket): void {
  let discarded = 0
  stopParsing(socket)
  socket.removeAllListeners('data') // the parser of Node
  socket.on('data', (bytes) => {
    discarded += bytes.length
    if (discarded > LINGER_BYTES) socket.destroy()
  })
  socket.on('end', () => socket.destroy())
  socket.destroySoon = () => {} // Node calls it after the last response of a connection
  socket.end()
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
}
