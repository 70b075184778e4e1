import type { Request, RequestHandler, Response } from 'express'
import type { AccountsContext, Identity } from '../../accounts/context.ts'
import { authenticate } from '../../accounts/sessions.ts'
import { problem, type Problem } from '../../platform/problem.ts'
import { accessCookie, assertCsrfToken } from '../cookies.ts'

const SAFE_METHODS = new Set(['GET', 'HEAD'])

export function requireUser(accounts: AccountsContext): RequestHandler {
  return async (request, response, next) => {
    response.locals.identity = await currentUser(accounts, request)
    next(response.locals.identity ? undefined : notAuthenticated(request))
  }
}

/**
 * Bearer for programs, the cookie for browsers; whoever sends a Bearer token is judged by that alone.
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
  return problem('not_authenticated', 'A valid token is needed', { 'WWW-Authenticate': challenge })
}

export function identityOf(response: Response): Identity {
  return response.locals.identity as Identity
}

/** Undefined where no Bearer token is sent at all; empty where one was tried. */
export function bearerToken(authorization: string | undefined): string | undefined {
  const match = /^bearer(?:\s+|$)(.*)$/i.exec(authorization ?? '')
  return match?.[1]?.trim()
}
