import { randomUUID } from 'node:crypto'
import type { RequestHandler } from 'express'
import { withLogContext } from '../../platform/log-context.ts'

/** One id for a request in its answer, its event, its workflow and all logs. A caller's own is taken where it is harmless. */
export const requestId: RequestHandler = (request, response, next) => {
  const given = request.get('x-request-id')
  response.locals.requestId = given && /^[A-Za-z0-9_-]{8,64}$/.test(given) ? given : randomUUID()
  response.set('x-request-id', response.locals.requestId as string)
  withLogContext({ requestId: response.locals.requestId as string }, next)
}
