import { randomUUID } from 'node:crypto'
import type { RequestHandler } from 'express'
import { withLogContext } from '../../platform/log-context.ts'

/** Sets the request id that appears in the response, the event, the workflow and all logs. Keeps a client's own id if its form is safe. */
export const requestId: RequestHandler = (request, response, next) => {
  const given = request.get('x-request-id')
  response.locals.requestId = given && /^[A-Za-z0-9_-]{8,64}$/.test(given) ? given : randomUUID()
  response.set('x-request-id', response.locals.requestId as string)
  withLogContext({ requestId: response.locals.requestId as string }, next)
}
