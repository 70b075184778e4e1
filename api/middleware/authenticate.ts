import type { Request, RequestHandler, Response } from 'express'
import type { AccountsContext, Identity } from '../../accounts/context.ts'
import { authenticate } from '../../accounts/sessions.ts'
import { problem, type Problem } from '../../platform/http-problems.ts'
import { accessCookie, assertCsrfToken } from '../cookies.ts'

const SAFE_METHODS = new Set(['GET', 'HEAD'])

export function requireUser(accounts: AccountsContext): RequestHandler {
  return async (request, response, next) => {
    response.locals.identity = await currentUser(accounts, request)
    next(response.locals.identity ? undefined : notAuthenticated(request))
  }
}

/**
 * The user of a request. Programs send a Bearer token, browsers send a cookie. If there is a Bearer token, the cookie is ignored.
 * @throws {Problem} `csrf_token_invalid`
 */
export async function currentUser(accounts: AccountsContext, request: Request): Promise<Identity | undefined> {
  const bearer = bearerToken(request.get('authorization'))
  const token = bearer ?? accessCookie(request)
  const identity = token ? await authenticate(accounts, token) : undefined
  if (identity && bearer === undefined && !SAFE_METHODS.has(request.method)) await assertCsrfToken(request, accounts, identity.sessionId)
  return identity
}

export function notAuthenticated(request: Request): Problem {
  const challenge = request.get('authorization') === undefined ? 'Bearer' : 'Bearer error="invalid_token"'
  return problem('not_authenticated', 'A valid token is required', { 'WWW-Authenticate': challenge })
}

export function identityOf(response: Response): Identity {
  return response.locals.identity as Identity
}

/** Undefined if the header has another scheme or is missing; empty if it has the scheme Bearer without a token. */
export function bearerToken(authorization: string | undefined): string | undefined {
  const match = /^bearer(?:\s+|$)(.*)$/i.exec(authorization ?? '')
  return match?.[1]?.trim()
}
