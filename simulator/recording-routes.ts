// Serves recordings as Exotel does (Basic auth, ranges, pre-signed links), or as the call's fault demands.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import type { SimulatedCall } from './call.ts'

type Recording = NonNullable<SimulatedCall['recording']>

const FAULTY_TIMES = 2
const DRIP_BYTES = 16 * 1024
const DRIP_EVERY_MS = 100
const LOGIN_PAGE = '<!DOCTYPE html><html><head><title>Login</title></head><body><form>Please log in</form></body></html>'

/** @param authorized the request carries the account's key and token */
export async function serveRecording(
  call: SimulatedCall,
  authorized: boolean,
  presignedUrl: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  call.requests += 1
  const first = call.requests <= FAULTY_TIMES
  const { recording } = call
  if (!authorized || call.fault === 'unauthorized') return fail(response, 401)
  if (!recording || Date.now() < call.availableAt.getTime()) return fail(response, 404)
  switch (call.fault) {
    case 'not-found-first':
      return first ? fail(response, 404) : send(recording, request, response)
    case 'rate-limited':
      return first ? fail(response, 429, { 'retry-after': '1' }) : send(recording, request, response)
    case 'server-error':
      return first ? fail(response, 503) : send(recording, request, response)
    case 'cut':
      return first ? cutShort(recording, response) : send(recording, request, response)
    case 'wrong-length':
      return sendTooLittle(recording, response)
    case 'slow-drip':
      return drip(recording, response)
    case 'html':
      return void response.writeHead(200, { 'content-type': 'text/html' }).end(LOGIN_PAGE)
    case 'redirect-s3':
      return void response.writeHead(302, { location: presignedUrl }).end()
    case 'redirect-private':
      return void response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data/' }).end()
    default:
      return send(recording, request, response)
  }
}

/** A pre-signed link: no credentials needed, and, as at S3, none accepted. */
export function servePresigned(call: SimulatedCall, signed: boolean, request: IncomingMessage, response: ServerResponse): void {
  if (request.headers.authorization !== undefined) return fail(response, 400)
  if (!signed || !call.recording) return fail(response, 403)
  send(call.recording, request, response)
}

function send({ bytes, contentType, etag }: Recording, request: IncomingMessage, response: ServerResponse): void {
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')
  const from = range && request.headers['if-range'] === etag ? Number(range[1]) : 0
  const headers = { 'content-type': contentType, etag, 'accept-ranges': 'bytes', 'content-length': bytes.length - from }
  if (from >= bytes.length && from > 0) return fail(response, 416, { 'content-range': `bytes */${bytes.length}` })
  if (from === 0) return void response.writeHead(200, headers).end(bytes)
  response.writeHead(206, { ...headers, 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }).end(bytes.subarray(from))
}

function cutShort({ bytes, contentType, etag }: Recording, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': contentType, etag, 'content-length': bytes.length })
  response.write(bytes.subarray(0, Math.floor(bytes.length * 0.4)), () => response.destroy())
}

function sendTooLittle({ bytes, contentType }: Recording, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': contentType, 'content-length': bytes.length + 1000 })
  response.write(bytes, () => response.destroy())
}

async function drip({ bytes, contentType }: Recording, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': contentType, 'content-length': bytes.length })
  for (let at = 0; at < bytes.length && !response.destroyed; at += DRIP_BYTES) {
    response.write(bytes.subarray(at, at + DRIP_BYTES))
    await pause(DRIP_EVERY_MS)
  }
  response.end()
}

function fail(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, headers).end()
}
