// Discards bodies that no handler reads as they arrive, so that they do not stay in memory while limits are counted.
import type { RequestHandler } from 'express'

export const dropBody: RequestHandler = (request, _response, next) => {
  request.resume()
  next()
}

/** No operation takes a body with these methods. */
const WITHOUT_BODY = new Set(['GET', 'HEAD'])

export const dropBodyOfReads: RequestHandler = (request, response, next) =>
  WITHOUT_BODY.has(request.method) ? dropBody(request, response, next) : next()
