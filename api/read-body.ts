// Reads a request's body into memory: whole, of a bounded length, and of a bounded length together with all others.
import type { Request, Response } from 'express'
import { clientKey } from '../platform/client-address.ts'
import { GrowingBuffer } from '../platform/growing-buffer.ts'
import { counter } from '../platform/metrics.ts'
import { problem, type Problem } from '../platform/problem.ts'

const KB = 1024
const MB = 1024 * KB
/** Always granted: no webhook or form that was ever seen is longer, and connections are bounded. */
export const GRANTED_BYTES = 16 * KB
/** What all bodies may hold beyond that, and those of one client. */
const TOTAL_BYTES = 32 * MB
const CLIENT_BYTES = 8 * MB
const RETRY_AFTER = { 'Retry-After': '2' }

const refusedBodies = counter('bodies_refused_total', 'Bodies refused because others took the memory for them', [])

let held = 0
const heldBy = new Map<string, number>()

/**
 * The memory is held until the request is answered. Of a body that is refused the rest is passed over.
 * @throws {Problem} `unsupported_encoding`, `body_too_large`, `busy`, `bad_request`
 */
export async function readBody(request: Request, response: Response, maxBytes: number): Promise<Buffer> {
  const encoding = request.get('content-encoding')?.toLowerCase() ?? 'identity'
  if (encoding !== 'identity') throw problem('unsupported_encoding', 'Content-Encoding is not accepted: send the body as it is')
  if (Number(request.get('content-length') ?? 0) > maxBytes) throw tooLarge()
  if (request.get('expect')?.toLowerCase() === '100-continue') response.writeContinue()
  const hold = holdMemory(clientKey(request.ip, request.socket.remoteAddress), response)
  return new Promise((resolve, reject) => {
    const body = new GrowingBuffer(maxBytes)
    const stop = (error: Problem): void => {
      request.off('data', onData).resume()
      body.clear()
      reject(error)
    }
    const onData = (chunk: Buffer): void => {
      const length = body.length + chunk.length
      if (length > maxBytes) return stop(tooLarge())
      if (!hold(body.capacityFor(length))) {
        refusedBodies.inc()
        return stop(problem('busy', 'Too many large requests are being read', RETRY_AFTER))
      }
      body.append(chunk)
    }
    request.on('data', onData)
    request.once('end', () => resolve(body.bytes()))
    request.once('close', () => reject(problem('bad_request', 'The request ended before its body did')))
    request.once('error', () => reject(problem('bad_request', 'The request ended before its body did')))
  })
}

/** @returns a function that holds memory for so many bytes of one body, and says whether there is as much */
function holdMemory(client: string, response: Response): (bytes: number) => boolean {
  let own = 0
  const change = (by: number): void => {
    own += by
    held += by
    const ofClient = (heldBy.get(client) ?? 0) + by
    if (ofClient > 0) heldBy.set(client, ofClient)
    else heldBy.delete(client)
  }
  response.once('close', () => change(-own))
  return (bytes) => {
    const more = Math.max(0, bytes - GRANTED_BYTES) - own
    if (more <= 0) return true
    if (held + more > TOTAL_BYTES || (heldBy.get(client) ?? 0) + more > CLIENT_BYTES) return false
    change(more)
    return true
  }
}

function tooLarge(): Problem {
  return problem('body_too_large', 'The body is longer than is read here')
}
