// Serves recordings as Exotel does (Basic auth, pre-signed links), or according to the call's fault.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { isAvailable, type SimulatedCall } from './call.ts'
import { sendRecording, sourceOf } from './send-recording.ts'
import type { Recording } from './versions.ts'

/** The credentials of a request. */
export interface Credentials {
  /** The request contains the account's key and token. */
  key: boolean
  /** The request has an Authorization header. */
  authorization: boolean
  signature: 'absent' | 'wrong' | 'expired' | 'valid'
}

const FAULTY_TIMES = 2
const LONG_RETRY_AFTER_SECONDS = 2
const DRIP_BYTES = 16 * 1024
const DRIP_EVERY_MS = 100
const LOGIN_PAGE = '<!DOCTYPE html><html><head><title>Login</title></head><body><form>Please log in</form></body></html>'

/** Serves Exotel's own link to a recording. @param redirectTo the target of the fault `redirect-s3` */
export async function serveRecording(
  call: SimulatedCall,
  credentials: Credentials,
  redirectTo: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  call.requests += 1
  const first = call.requests <= FAULTY_TIMES
  const { recording } = call
  const refusal = refusalOf(call, credentials)
  if (refusal !== undefined) return fail(response, refusal)
  if (recording && call.fault === 'rate-limited-long' && !isAvailable(call))
    return fail(response, 429, { 'retry-after': String(LONG_RETRY_AFTER_SECONDS) })
  if (recording && call.fault === 'empty-first' && !isAvailable(call))
    return void response.writeHead(200, { 'content-type': 'audio/mpeg' }).end()
  if (recording && call.fault === 'refused-first' && !isAvailable(call)) return fail(response, 403)
  if (!recording || !isAvailable(call)) return fail(response, 404)
  const send = (): void => sendCurrent(call, recording, request, response)
  switch (call.fault) {
    case 'not-found-first':
      return first ? fail(response, 404) : send()
    case 'rate-limited':
      return first ? fail(response, 429, { 'retry-after': '1' }) : send()
    case 'server-error':
      return first ? fail(response, 503) : send()
    case 'wrong-length':
      return sendTooLittle(recording, response)
    case 'slow-drip':
      return drip(recording, response)
    case 'html':
      return void response.writeHead(200, { 'content-type': 'text/html' }).end(LOGIN_PAGE)
    case 'redirect-s3':
      return void response.writeHead(302, { location: redirectTo }).end()
    case 'redirect-private':
      return void response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data/' }).end()
    default:
      return send()
  }
}

/** Serves a pre-signed link on another host. */
export function servePresigned(call: SimulatedCall, credentials: Credentials, request: IncomingMessage, response: ServerResponse): void {
  call.requests += 1
  const refusal = credentials.signature === 'absent' ? 403 : signatureRefusal(credentials)
  if (refusal !== undefined) return fail(response, refusal)
  if (!call.recording || !isAvailable(call)) return fail(response, 404)
  if (call.fault === 'wrong-length') return sendTooLittle(call.recording, response)
  sendCurrent(call, call.recording, request, response)
}

/** @returns the status of the error; undefined if the request is authorized */
function refusalOf(call: SimulatedCall, credentials: Credentials): number | undefined {
  if (credentials.signature !== 'absent') return signatureRefusal(credentials)
  return credentials.key && call.fault !== 'unauthorized' && !call.signedLinksOnly ? undefined : 401
}

/** Like S3: a signed link contains its credential, and additional credentials are an error. */
function signatureRefusal({ authorization, signature }: Credentials): number | undefined {
  if (authorization) return 400
  return signature === 'valid' ? undefined : 403
}

function sendCurrent(call: SimulatedCall, present: Recording, request: IncomingMessage, response: ServerResponse): void {
  const version = call.requests === 1 ? (call.earlier ?? present) : present
  sendRecording(version, sourceOf(call.fault), call.requests, request, response)
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
