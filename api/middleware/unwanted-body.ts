// Bodies that nobody reads: they are taken and dropped at once, so that they do not wait in memory while limits are counted.
import type { RequestHandler } from 'express'

export const dropBody: RequestHandler = (request, _response, next) => {
  request.resume()
  next()
}

/** No operation of ours takes a body by these methods. */
const WITHOUT_BODY = new Set(['GET', 'HEAD'])

export const dropBodyOfReads: RequestHandler = (request, response, next) =>
  WITHOUT_BODY.has(request.method) ? dropBody(request, response, next) : next()
