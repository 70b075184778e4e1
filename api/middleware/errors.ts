import type { ErrorRequestHandler, RequestHandler } from 'express'
import { AccountError } from '../../accounts/errors.ts'
import { isDatabaseOutage, RETRY_AFTER_SECONDS } from '../../platform/database-errors.ts'
import type { Logger } from '../../platform/logger.ts'
import { problem, Problem } from '../../platform/http-problems.ts'
import { accountProblem } from '../account-problems.ts'

export const RETRY_AFTER_OUTAGE = { 'Retry-After': String(RETRY_AFTER_SECONDS) }

export const notFound: RequestHandler = (_request, _response, next) => next(problem('not_found', 'There is no such route'))

/** The last handler of a path. Rejects methods that the path does not support. */
export function methodNotAllowed(allowed: string[]): RequestHandler {
  return (request, _response, next) =>
    next(problem('method_not_allowed', `${request.method} is not allowed for this path`, { Allow: allowed.join(', ') }))
}

/** The only place where errors become responses. The details of an unknown error are logged and not sent. */
export function errorHandler(logger: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    if (response.headersSent) return next(error)
    const shown = asProblem(error)
    // A client can cause `busy` thousands of times per second.
    if (shown.status >= 500 && shown.code !== 'busy') logger.error({ error, method: request.method }, 'Request failed')
    response.status(shown.status).set(shown.headers).type('application/problem+json')
    response.send(JSON.stringify({ ...shown.toJSON(), requestId: response.locals.requestId }))
  }
}

/** The problem that the client receives for an error. */
function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof AccountError) return accountProblem(error)
  if (error instanceof URIError) return problem('bad_request', 'The path cannot be decoded')
  if (isDatabaseOutage(error)) return problem('database_unavailable', 'Please try again', RETRY_AFTER_OUTAGE)
  return problem('internal_error', 'The request could not be served')
}
