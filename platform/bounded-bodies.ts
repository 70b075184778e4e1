// Checks at the start of a process that this version of Node supports the limits on bodies.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { duplexPair, type Duplex } from 'node:stream'
import { watchBody } from './body-pieces.ts'
import { CannotStart } from './process.ts'
import { closeBeforeBodyEnds } from './unread-body.ts'

/** Without a timer in between, Node parses what it has. */
const CHECK_TIMEOUT_MS = 500
const HEAD = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
const CHUNKS = '1\r\na\r\n'.repeat(1000)
const LAST_CHUNK = '0\r\n\r\n'

interface Parts {
  watchBody: typeof watchBody
  closeBeforeBodyEnds: typeof closeBeforeBodyEnds
}

/**
 * `watchBody` and `closeBeforeBodyEnds` rely on parts of Node that are not documented. Without them, one client can take all memory or
 * all CPU time, so the process must not serve anybody. The check needs no network: Node's HTTP server accepts any Duplex as a
 * connection.
 * @throws {CannotStart} where a body in many small pieces is not noticed, or a body is parsed behind the answer
 */
export async function requireBoundedBodies(parts: Parts = { watchBody, closeBeforeBodyEnds }): Promise<void> {
  if (!(await countsPieces(parts))) throw untried('the pieces of a body cannot be counted')
  if (!(await stopsAfterAnswer(parts))) throw untried('a body that nobody reads cannot be stopped')
}

async function countsPieces({ watchBody: watch }: Parts): Promise<boolean> {
  let isNoticed = false
  await exchange(
    (request) => {
      const onTooMany = (): void => {
        isNoticed = true
        request.socket.destroy()
      }
      watch(request, { onEnd() {}, onTooMany })
    },
    (client) => client.write(HEAD + CHUNKS),
  )
  return isNoticed
}

async function stopsAfterAnswer({ closeBeforeBodyEnds: closeEarly }: Parts): Promise<boolean> {
  let answered: IncomingMessage | undefined
  await exchange(
    (request, response) => {
      answered = request
      closeEarly(request, response)
      response.end()
    },
    (client) => {
      client.once('data', () => client.end(CHUNKS + LAST_CHUNK))
      client.write(HEAD)
    },
  )
  return answered !== undefined && !answered.complete
}

/** Ends when the connection is closed. */
async function exchange(handler: RequestListener, send: (client: Duplex) => void): Promise<void> {
  const [client, connection] = duplexPair()
  const server = createServer(handler)
  server.emit('connection', connection)
  client.on('error', () => {})
  send(client)
  await once(connection, 'close', { signal: AbortSignal.timeout(CHECK_TIMEOUT_MS) }).catch(() => connection.destroy())
  server.close()
}

function untried(what: string): CannotStart {
  return new CannotStart(`This server was not tried with Node ${process.versions.node}: ${what}`)
}
