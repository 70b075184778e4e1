// Browser sessions: tokens in cookies that scripts cannot read, and a CSRF token that only our own pages can send back.
import { parse } from 'cookie'
import type { CookieOptions, Request, Response } from 'express'
import { ACCESS_TOKEN_SECONDS } from '../accounts/access-tokens.ts'
import type { AccountsContext, Tokens } from '../accounts/context.ts'
import { isCsrfToken } from '../accounts/csrf-tokens.ts'
import { problem } from '../platform/http-problems.ts'

/** Browsers accept this prefix only from a secure origin (localhost counts as one) and send the cookie to this host only. */
export const ACCESS_COOKIE = '__Host-access'
const CSRF_COOKIE = '__Host-csrf'
export const REFRESH_COOKIE = '__Secure-refresh'
const CSRF_HEADER = 'x-csrf-token'

const STRICT: CookieOptions = { secure: true, sameSite: 'strict', path: '/' }
const ACCESS: CookieOptions = { ...STRICT, httpOnly: true }
const REFRESH: CookieOptions = { ...ACCESS, path: '/api/auth' }

export function setSessionCookies(response: Response, tokens: Tokens, sessionDays: number): void {
  const maxAge = sessionDays * 24 * 3600_000
  response.cookie(ACCESS_COOKIE, tokens.accessToken, { ...ACCESS, maxAge: ACCESS_TOKEN_SECONDS * 1000 })
  response.cookie(REFRESH_COOKIE, tokens.refreshToken, { ...REFRESH, maxAge })
  response.cookie(CSRF_COOKIE, tokens.csrfToken, { ...STRICT, maxAge })
}

export function clearSessionCookies(response: Response): void {
  response.clearCookie(ACCESS_COOKIE, ACCESS).clearCookie(REFRESH_COOKIE, REFRESH).clearCookie(CSRF_COOKIE, STRICT)
}

export function accessCookie(request: Request): string | undefined {
  return parse(request.get('cookie') ?? '')[ACCESS_COOKIE]
}

export function refreshCookie(request: Request): string | undefined {
  return parse(request.get('cookie') ?? '')[REFRESH_COOKIE]
}

/**
 * Browsers send our cookies with requests of any page, but only our own pages can set the header.
 * @throws {Problem} `csrf_token_invalid`
 */
export async function assertCsrfToken(request: Request, accounts: AccountsContext, sessionId: string): Promise<void> {
  if (!(await isCsrfToken(accounts, sessionId, request.get(CSRF_HEADER) ?? '')))
    throw problem('csrf_token_invalid', `With cookies, send the CSRF token in ${CSRF_HEADER}`)
}
