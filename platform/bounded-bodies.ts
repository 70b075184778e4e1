// Checks when a process starts that this version of Node supports the limits on request bodies.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { duplexPair, type Duplex } from 'node:stream'
import { watchBody } from './body-pieces.ts'
import { CannotStart } from './process.ts'
import { closeBeforeBodyEnds } from './unread-body.ts'

/** Ample: Node parses the bytes that it has without waiting for a timer. */
const CHECK_TIMEOUT_MS = 500
const HEAD = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
const CHUNKS = '1\r\na\r\n'.repeat(1000)
const LAST_CHUNK = '0\r\n\r\n'

interface Parts {
  watchBody: typeof watchBody
  closeBeforeBodyEnds: typeof closeBeforeBodyEnds
}

/**
 * `watchBody` and `closeBeforeBodyEnds` rely on undocumented behavior of Node. If it is missing, one client can use all memory or all
 * CPU time, so the process must not serve requests. The check needs no network: Node's HTTP server accepts any Duplex as a connection.
 * @throws {CannotStart} if a body in many small pieces is not detected, or a body is still parsed after the response
 */
export async function requireBoundedBodies(parts: Parts = { watchBody, closeBeforeBodyEnds }): Promise<void> {
  if (!(await countsPieces(parts))) throw unsupported('the number of pieces of a request body cannot be limited')
  if (!(await stopsAfterAnswer(parts))) throw unsupported('the rest of a request body after its response cannot be ignored')
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

/** Resolves when the connection is closed. */
async function exchange(handler: RequestListener, send: (client: Duplex) => void): Promise<void> {
  const [client, connection] = duplexPair()
  const server = createServer(handler)
  server.emit('connection', connection)
  client.on('error', () => {})
  send(client)
  await once(connection, 'close', { signal: AbortSignal.timeout(CHECK_TIMEOUT_MS) }).catch(() => connection.destroy())
  server.close()
}

function unsupported(what: string): CannotStart {
  return new CannotStart(`Node ${process.versions.node} is not supported: ${what}. Use Node 22 or 24`)
}
