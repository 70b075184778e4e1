// One GET request over Node's own HTTP client. Redirects and Content-Encoding are left to the caller.
import * as http from 'node:http'
import * as https from 'node:https'
import type { LookupFunction } from 'node:net'
import type { Readable } from 'node:stream'
import { readStart } from '../platform/read-start.ts'

/** The sockets that requests share. */
export interface HttpAgents {
  http: http.Agent
  https: https.Agent
  /** Closes all of their connections. */
  destroy(): void
}

export interface HttpResponse {
  statusCode: number
  headers: http.IncomingHttpHeaders
  /** Ends only where HTTP says that it is complete; a body that is cut off emits an error. To be read or destroyed. */
  body: Readable
}

interface HttpRequest {
  headers: Record<string, string>
  agents: HttpAgents
  /** Ends the request, and the body while it is read. */
  signal: AbortSignal
}

/** The server had closed a connection that was kept open for further requests. */
class ConnectionWasStale extends Error {}

/** Many servers close a connection that nobody has used for 5 s. */
const KEEP_ALIVE_MS = 4000
const MAX_HEADER_BYTES = 16 * 1024
/** Responses 1xx before the response proper. */
const MAX_INFORMATIONAL = 20
const STALE_CODES = ['ECONNRESET', 'EPIPE']
/** What is read of a body that nobody wants, so that its connection can be used again. */
const UNWANTED = { maxBytes: 64 * 1024, ms: 1000 }

/** @param lookup resolves the names of hosts; Node's own where it is absent */
export function createHttpAgents(lookup?: LookupFunction): HttpAgents {
  const options = { keepAlive: true, timeout: KEEP_ALIVE_MS, ...(lookup && { lookup }) }
  const agents = { http: new http.Agent(options), https: new https.Agent(options) }
  return {
    ...agents,
    destroy() {
      agents.http.destroy()
      agents.https.destroy()
    },
  }
}

/**
 * Resolves with status and headers, the body unread.
 * @throws the signal's reason, an error of the lookup, or one of the connection
 */
export async function httpGet(url: URL, request: HttpRequest): Promise<HttpResponse> {
  for (;;) {
    try {
      return await sendOnce(url, request)
    } catch (error) {
      // A GET may be sent again. A new connection is never stale, so this ends.
      if (!(error instanceof ConnectionWasStale)) throw error
    }
  }
}

/** Takes the rest of a body that nobody wants; closes the connection where the rest is long or slow. */
export async function discardBody(body: Readable): Promise<void> {
  const timer = setTimeout(() => body.destroy(), UNWANTED.ms)
  await readStart(body, UNWANTED.maxBytes)
  clearTimeout(timer)
}

function sendOnce(url: URL, { headers, agents, signal }: HttpRequest): Promise<HttpResponse> {
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    const options = { headers, maxHeaderSize: MAX_HEADER_BYTES }
    const request =
      url.protocol === 'https:'
        ? https.request(url, { ...options, agent: agents.https })
        : http.request(url, { ...options, agent: agents.http })
    let response: http.IncomingMessage | undefined
    let informational = 0
    const stopListening = (): void => signal.removeEventListener('abort', abort)
    const fail = (error: Error): void => {
      stopListening()
      request.destroy()
      reject(error)
    }
    const abort = (): void => {
      if (response) response.destroy(signal.reason as Error)
      else fail(signal.reason as Error)
    }
    signal.addEventListener('abort', abort)

    request.on('information', () => {
      informational += 1
      if (informational > MAX_INFORMATIONAL) fail(new Error(`The server sent more than ${MAX_INFORMATIONAL} responses 1xx`))
    })
    request.once('upgrade', ({ statusCode }, socket) => {
      socket.destroy() // without this listener Node would not even report the end of the request
      fail(new Error(`The server answered ${statusCode} and switched to another protocol`))
    })
    request.once('response', (received) => {
      response = received
      received.once('close', stopListening)
      received.on('error', () => {}) // a reader learns it from the stream, and nobody else has to
      resolve({ statusCode: received.statusCode!, headers: received.headers, body: received })
    })
    request.on('error', (error: NodeJS.ErrnoException) => {
      // Without this, a reset connection looks like the end of a body that has no announced length.
      if (response) return void response.destroy(error)
      const wasStale = request.reusedSocket && STALE_CODES.includes(error.code ?? '')
      fail(wasStale ? new ConnectionWasStale() : withMessage(error))
    })
    request.end()
  })
}

/** Node gives no message of its own where it tried several addresses of a host. */
function withMessage(error: Error): Error {
  const attempts = (error as Partial<AggregateError>).errors as Error[] | undefined
  return attempts && !error.message ? new Error(attempts.map(({ message }) => message).join('; '), { cause: error }) : error
}
