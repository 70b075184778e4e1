// Routes that check the connections of a running development or staging service. They do not exist in production.
import type { RequestHandler } from 'express'
import { z } from 'zod'
import type { Logger } from '../../platform/logger.ts'
import { problem } from '../../platform/http-problems.ts'
import { redact } from '../../platform/redact.ts'
import { constantTimeEqual } from '../../platform/constant-time-equal.ts'
import type { ConnectionChecks } from '../connection-checks.ts'
import { withDeadline } from '../../platform/deadline.ts'
import type { Limits } from '../limits.ts'
import { bearerToken } from '../middleware/authenticate.ts'
import { operation, type Operation } from '../operation.ts'

export interface TestRoutesDependencies {
  environment: 'development' | 'test' | 'production'
  /** Undefined: there are no test routes. */
  devTestToken: string | undefined
  checks: ConnectionChecks
  limits: Limits
  logger: Logger
}

const DEADLINE_MS = 6000
const answer = z.strictObject({ status: z.enum(['ok', 'failed']), detail: z.string() })

export function testOperations({ environment, devTestToken, checks, limits, logger }: TestRoutesDependencies): Operation[] {
  if (environment === 'production' || devTestToken === undefined) return []
  return Object.entries(checks).map(([name, check]) =>
    operation({
      method: 'get',
      path: `/api/test/${name}-connection`,
      summary: `Checks the connection to ${name} and describes a fault`,
      tag: 'test',
      security: 'testToken',
      guards: [limits.perAddress('general'), refuseInProduction, requireTestToken(devTestToken, logger)],
      statuses: [200],
      answer,
      problems: ['test_token_wrong'],
      async handle() {
        try {
          return { status: 'ok' as const, detail: await withDeadline(check(), DEADLINE_MS) }
        } catch (error) {
          return { status: 'failed' as const, detail: redact(error instanceof Error ? error.message : String(error)).slice(0, 500) }
        }
      },
    }),
  )
}

/** A second check, in case the routes are mounted in production by mistake. */
const refuseInProduction: RequestHandler = (_request, _response, next) =>
  next(process.env.NODE_ENV === 'production' ? problem('not_found', 'There is no such route') : undefined)

function requireTestToken(expected: string, logger: Logger): RequestHandler {
  return (request, _response, next) => {
    const given = bearerToken(request.get('authorization'))
    if (given !== undefined && constantTimeEqual(given, expected)) return next()
    logger.warn({ address: request.ip, path: request.path }, 'Request to a test route rejected: the test token is missing or wrong')
    if (!given) return next(problem('not_authenticated', 'Send the test token as a Bearer token', { 'WWW-Authenticate': 'Bearer' }))
    next(problem('test_token_wrong', 'The Bearer token does not equal DEV_TEST_TOKEN'))
  }
}
