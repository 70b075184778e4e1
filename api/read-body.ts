// Reads a request body into memory. The length of one body is limited, and so is the memory of all bodies together.
import type { Request, Response } from 'express'
import { clientKey } from '../platform/client-address.ts'
import { GrowingBuffer } from '../platform/growing-buffer.ts'
import { counter } from '../platform/metrics.ts'
import { problem, type Problem } from '../platform/http-problems.ts'
import { HeldBody } from './body-memory.ts'

const RETRY_AFTER = { 'Retry-After': '2' }

const refusedBodies = counter('bodies_refused_total', 'Request bodies rejected because other bodies took their memory', [])

/**
 * The memory is held until the response has been sent. The rest of a rejected body is not read: see `platform/unread-body.ts`.
 * @throws {Problem} `unsupported_encoding`, `body_too_large`, `busy`, `bad_request`
 */
export async function readBody(request: Request, response: Response, maxBytes: number): Promise<Buffer> {
  const encoding = request.get('content-encoding')?.toLowerCase() ?? 'identity'
  if (encoding !== 'identity') throw problem('unsupported_encoding', 'Content-Encoding is not supported: send the body without it')
  if (Number(request.get('content-length') ?? 0) > maxBytes) throw tooLarge(maxBytes)
  if (request.destroyed) throw aborted()
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
      if (length > maxBytes) return stop(tooLarge(maxBytes))
      if (!held.hold(body.capacityFor(length))) return refuseBusy()
      body.append(chunk)
    }
    response.once('close', () => held.release())
    request.on('data', onData)
    let isRead = false
    request.once('end', () => {
      isRead = true
      held.finish()
      resolve(body.bytes())
    })
    const onAborted = (): void => {
      if (!isRead) reject(aborted())
    }
    request.once('close', onAborted)
    request.once('error', onAborted)
  })
}

function tooLarge(maxBytes: number): Problem {
  return problem('body_too_large', `The body is longer than ${maxBytes} bytes`)
}

function aborted(): Problem {
  return problem('bad_request', 'The request ended before the whole body arrived')
}
