// The one place that uses what Node does not document of its HTTP parser. Only CPU time depends on it.
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** What a parser's callback for headers returns for an upgraded connection: the rest of the packet is no HTTP. */
const NO_MORE_REQUESTS = 2
/** The name of the callback that a parser calls for each piece of a body. */
const BODY_CALLBACK = 'parserOnBody'

type Parser = Record<string, unknown>

/**
 * Node goes on parsing the packet (64 kB) of a destroyed connection. For 10,900 chunks of one byte, it makes a Buffer of each, which
 * takes 8 ms; for 1,200 requests, it makes a response and an error of each, which takes 20 ms. This makes it skip both (tried with
 * Node 20, 22 and 24); where the parser is another one, nothing changes.
 */
export function stopParsing(socket: Socket & { parser?: Parser | null }): void {
  const { parser } = socket
  if (!parser) return
  if (typeof parser.onIncoming === 'function') parser.onIncoming = skipRequest
  const callback = Object.entries(parser).find(([, value]) => typeof value === 'function' && value.name === BODY_CALLBACK)
  if (!callback) return
  const [name, onBody] = callback
  parser[name] = null
  // Node uses the parser again for another connection, once its own listener of this event has run.
  socket.prependOnceListener('close', () => (parser[name] = onBody))
}

/** A request that asks for an upgrade would make Node release the parser before the socket is closed, without its callback for bodies. */
function skipRequest(request: IncomingMessage & { upgrade?: boolean }): number {
  request.upgrade = false
  return NO_MORE_REQUESTS
}
