// Closes a connection if the response was sent before the whole request body had arrived.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { stopParsing } from './http-parser.ts'

/** The time that a client has to read the response and close its side of the connection. */
const LINGER_MS = 5000
/** Bytes that are read and discarded during that time. A client that sends its whole body before it reads still gets the response. */
const LINGER_BYTES = 2 * 1024 * 1024

/**
 * If the response starts before the body has ended, it contains `Connection: close`, and once it is sent, no further bytes of the
 * connection are parsed. Node itself would parse the rest of the body for as long as the client sends it.
 * @returns a function to call when the whole body has arrived, so that the connection stays open
 */
export function closeBeforeBodyEnds(request: IncomingMessage, response: ServerResponse): () => void {
  const { shouldKeepAlive } = response
  response.shouldKeepAlive = false
  // Must run before Node's own listener, which starts to discard the body.
  response.prependOnceListener('finish', () => {
    if (!request.complete) linger(request.socket)
  })
  return () => (response.shouldKeepAlive = shouldKeepAlive)
}

/**
 * Sends FIN, then discards received bytes without parsing them until the client has closed its side. If the socket were closed at once
 * while the client still sends, the connection would be reset and the client would lose the response.
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
