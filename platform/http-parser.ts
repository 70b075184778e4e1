// The only file that uses undocumented parts of Node's HTTP parser. Only CPU time depends on it.
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** A parser's callback for headers returns this for an upgraded connection: the rest of the packet is not HTTP. */
const NO_MORE_REQUESTS = 2
/** The name of the callback that a parser calls for each piece of a body. */
const BODY_CALLBACK = 'parserOnBody'

type Parser = Record<string, unknown>

/**
 * Makes Node skip the rest of the current packet. Otherwise Node continues to parse the packet (64 kB) of a destroyed connection: for
 * 10,900 chunks of one byte it allocates a Buffer each, which takes 8 ms; for 1,200 requests it creates a response and an error each,
 * which takes 20 ms. Tested with Node 20, 22 and 24. With a different parser, this function has no effect.
 */
export function stopParsing(socket: Socket & { parser?: Parser | null }): void {
  const { parser } = socket
  if (!parser) return
  if (typeof parser.onIncoming === 'function') parser.onIncoming = skipRequest
  const callback = Object.entries(parser).find(([, value]) => typeof value === 'function' && value.name === BODY_CALLBACK)
  if (!callback) return
  const [name, onBody] = callback
  parser[name] = null
  // After its own listener of this event, Node reuses the parser for another connection.
  socket.prependOnceListener('close', () => (parser[name] = onBody))
}

/** If a request asked for an upgrade, Node would release the parser before the socket is closed, without its callback for bodies. */
function skipRequest(request: IncomingMessage & { upgrade?: boolean }): number {
  request.upgrade = false
  return NO_MORE_REQUESTS
}
