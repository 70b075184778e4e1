// Reads a request's body into memory: whole, of a bounded length, and of a bounded length together with all others.
import type { Request, Response } from 'express'
import { clientKey } from '../platform/client-address.ts'
import { GrowingBuffer } from '../platform/growing-buffer.ts'
import { counter } from '../platform/metrics.ts'
import { problem, type Problem } from '../platform/problem.ts'
import { HeldBody } from './body-memory.ts'

const RETRY_AFTER = { 'Retry-After': '2' }

const refusedBodies = counter('bodies_refused_total', 'Bodies refused because others took the memory for them', [])

/**
 * The memory is held until the request is answered. Of a body that is refused the rest is not read: see `platform/unread-body.ts`.
 * @throws {Problem} `unsupported_encoding`, `body_too_large`, `busy`, `bad_request`
 */
export async function readBody(request: Request, response: Response, maxBytes: number): Promise<Buffer> {
  const encoding = request.get('content-encoding')?.toLowerCase() ?? 'identity'
  if (encoding !== 'identity') throw problem('unsupported_encoding', 'Content-Encoding is not accepted: send the body as it is')
  if (Number(request.get('content-length') ?? 0) > maxBytes) throw tooLarge()
  if (request.destroyed) throw brokenOff()
  if (request.get('expect')?.toLowerCase() === '100-continue') response.writeContinue()
  return new Promise((resolve, reject) => {
    const body = new GrowingBuffer(maxBytes)
    const held = new HeldBody(clientKey(request.ip, request.socket.remoteAddress), () => refuseBusy())
    const stop = (error: Problem): void => {
      request.off('data', onData).resume()
      body.clear()
      held.release()
      reject(error)
    }
    const refuseBusy = (): void => {
      refusedBodies.inc()
      stop(problem('busy', 'Too many large requests are being read', RETRY_AFTER))
    }
    const onData = (chunk: Buffer): void => {
      const length = body.length + chunk.length
      if (length > maxBytes) return stop(tooLarge())
      if (!held.hold(body.capacityFor(length))) return refuseBusy()
      body.append(chunk)
    }
    response.once('close', () => held.release())
    request.on('data', onData)
    request.once('end', () => {
      held.finish()
      resolve(body.bytes())
    })
    request.once('close', () => reject(brokenOff()))
    request.once('error', () => reject(brokenOff()))
  })
}

function tooLarge(): Problem {
  return problem('body_too_large', 'The body is longer than is read here')
}

function brokenOff(): Problem {
  return problem('bad_request', 'The request ended before its body did')
}
