// Sends one GET request with Node's HTTP client. The caller handles redirects and Content-Encoding.
import * as http from 'node:http'
import * as https from 'node:https'
import type { LookupFunction } from 'node:net'
import type { Readable } from 'node:stream'
import { readStart } from '../platform/read-start.ts'

/** Connection pools that requests share. */
export interface HttpAgents {
  http: http.Agent
  https: https.Agent
  /** Closes all connections. */
  destroy(): void
}

export interface HttpResponse {
  statusCode: number
  headers: http.IncomingHttpHeaders
  /** Ends only if it is complete according to HTTP; a truncated body emits an error. The caller has to read or destroy it. */
  body: Readable
}

interface HttpRequest {
  headers: Record<string, string>
  agents: HttpAgents
  /** Aborts the request, and the body while it is read. */
  signal: AbortSignal
}

/** The server had closed a keep-alive connection before the request was sent. */
class ConnectionWasStale extends Error {}

/** Many servers close a connection that was idle for 5 s. */
const KEEP_ALIVE_MS = 4000
const MAX_HEADER_BYTES = 16 * 1024
/** Maximum of 1xx responses before the final response. */
const MAX_INFORMATIONAL = 20
const STALE_CODES = ['ECONNRESET', 'EPIPE']
/** Limits for reading a body that is discarded, so that its connection can be reused. */
const UNWANTED = { maxBytes: 64 * 1024, ms: 1000 }

/** @param lookup resolves host names; if it is absent, Node's own resolver does */
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
 * Sends the request and resolves when status and headers have arrived. The body is not read.
 * @throws the signal's reason, an error of the lookup, or one of the connection
 */
export async function httpGet(url: URL, request: HttpRequest): Promise<HttpResponse> {
  for (;;) {
    try {
      return await sendOnce(url, request)
    } catch (error) {
      // A GET can be sent again. A new connection is never stale, so this loop ends.
      if (!(error instanceof ConnectionWasStale)) throw error
    }
  }
}

/** Reads and discards the rest of a body. Closes the connection if the rest is long or slow. */
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
      if (informational > MAX_INFORMATIONAL) fail(new Error(`The server sent more than ${MAX_INFORMATIONAL} responses with status 1xx`))
    })
    request.once('upgrade', ({ statusCode }, socket) => {
      socket.destroy() // without this listener, Node would not report the end of the request
      fail(new Error(`The server responded ${statusCode} and switched to another protocol`))
    })
    request.once('response', (received) => {
      response = received
      received.once('close', stopListening)
      received.on('error', () => {}) // the reader of the stream handles the error
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

/** Node's error has no message if several addresses of a host were tried. */
function withMessage(error: Error): Error {
  const attempts = (error as Partial<AggregateError>).errors as Error[] | undefined
  return attempts && !error.message ? new Error(attempts.map(({ message }) => message).join('; '), { cause: error }) : error
}
