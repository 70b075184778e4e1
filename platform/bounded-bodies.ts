// Checks at the start of a process that this version of Node supports the limit on the pieces of a body.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { duplexPair } from 'node:stream'
import { watchBody } from './body-pieces.ts'
import { CannotStart } from './process.ts'

const PIECES = 1000
/** Without a timer in between, Node parses what it has. */
const CHECK_TIMEOUT_MS = 500
const REQUEST = `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\na\r\n'.repeat(PIECES)}`

/**
 * `watchBody` relies on a part of Node that is not documented. Without it, one client can take all memory, so the process must not
 * serve anybody. The check needs no network: Node's HTTP server accepts any Duplex as a connection.
 * @throws {CannotStart} where a body in many small pieces is not noticed
 */
export async function requireBoundedBodies(watch: typeof watchBody = watchBody): Promise<void> {
  let isNoticed = false
  const [client, connection] = duplexPair()
  const server = createServer((request) => {
    const onTooMany = (): void => {
      isNoticed = true
      connection.destroy()
    }
    watch(request, { onEnd() {}, onTooMany })
  })
  server.emit('connection', connection)
  client.on('error', () => {}).write(REQUEST)
  await once(connection, 'close', { signal: AbortSignal.timeout(CHECK_TIMEOUT_MS) }).catch(() => connection.destroy())
  server.close()
  if (!isNoticed)
    throw new CannotStart(`This server was not tried with Node ${process.versions.node}: the pieces of a body cannot be counted`)
}
