// Account routes: registration, login, tokens, passwords. A route parses, calls one function in `accounts/` and responds.
import type { Request, Response } from 'express'
import { z } from 'zod'
import { ACCESS_TOKEN_SECONDS } from '../../accounts/access-tokens.ts'
import type { AccountsContext, Tokens } from '../../accounts/context.ts'
import { EMAIL_ADDRESS, EMAIL_MAX_LENGTH, normaliseEmail } from '../../accounts/email-address.ts'
import { logIn } from '../../accounts/login.ts'
import { changePassword, requestPasswordReset, resetPassword } from '../../accounts/password-reset.ts'
import { PASSWORD_MAX_INPUT, PASSWORD_MAX_LENGTH, PASSWORD_MIN_LENGTH } from '../../accounts/passwords.ts'
import { logOutByToken, refreshSession } from '../../accounts/refresh-session.ts'
import { register } from '../../accounts/registration.ts'
import { ROLES } from '../../accounts/roles.ts'
import { endSessions, sessionOfToken } from '../../accounts/sessions.ts'
import { verifyAddress } from '../../accounts/verification.ts'
import { problem } from '../../platform/http-problems.ts'
import { assertCsrfToken, clearSessionCookies, refreshCookie, setSessionCookies } from '../cookies.ts'
import { clientOf, type Limits } from '../limits.ts'
import { bearerToken, currentUser, identityOf, notAuthenticated, requireUser } from '../middleware/authenticate.ts'
import { operation, type Operation } from '../operation.ts'

export interface AccountRoutesDependencies {
  accounts: AccountsContext
  limits: Limits
}

/** An input that is too long is not checked any further. */
const FIRST = { abort: true }

const email = z
  .string()
  .max(EMAIL_MAX_LENGTH, FIRST)
  .regex(EMAIL_ADDRESS, 'must be an email address in ASCII')
  .meta({ format: 'email', examples: ['person@example.com'] })
const password = z.string().max(PASSWORD_MAX_INPUT, FIRST)
/** The other password rules are checked where the email address of the account is known. */
const newPassword = z
  .string()
  .max(PASSWORD_MAX_INPUT, FIRST)
  .meta({ minLength: PASSWORD_MIN_LENGTH, maxLength: PASSWORD_MAX_LENGTH, description: 'Any characters; not a common password' })
/** Control characters, and characters that reverse or hide others. Joiners are allowed, because Indian scripts need them. */
const INVISIBLE = String.raw`\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff`
const name = z
  .string()
  .max(200, FIRST)
  .regex(new RegExp(`^[^\\s${INVISIBLE}][^${INVISIBLE}]{0,99}$`, 'u'), 'must have 1 to 100 visible characters')
const token = z.string().min(1).max(200)
const cookies = z.boolean().default(false).meta({ description: 'True: a browser session, with tokens in cookies' })

const accepted = z.strictObject({ status: z.literal('accepted') })
const session = z.union([
  z.strictObject({
    accessToken: z.string(),
    refreshToken: z.string(),
    tokenType: z.literal('Bearer'),
    expiresIn: z.int().meta({ description: 'Seconds until the access token expires' }),
  }),
  z.strictObject({
    tokenType: z.literal('Cookie'),
    csrfToken: z.string().meta({ description: 'Send it as X-CSRF-Token with every POST' }),
    expiresIn: z.int(),
  }),
])
const me = z.strictObject({ id: z.uuid(), email: z.string(), name: z.string(), role: z.enum(ROLES) })

export function accountOperations({ accounts, limits }: AccountRoutesDependencies): Operation[] {
  const { database } = accounts
  const publicPost = { method: 'post', tag: 'accounts', security: 'none' } as const
  const user = { tag: 'accounts', security: 'user', guards: [limits.perAddress('general'), requireUser(accounts)] } as const

  function answerWith(tokens: Tokens, asCookies: boolean, response: Response): z.infer<typeof session> {
    const { accessToken, refreshToken, csrfToken } = tokens
    if (!asCookies) return { accessToken, refreshToken, tokenType: 'Bearer', expiresIn: ACCESS_TOKEN_SECONDS }
    setSessionCookies(response, tokens, accounts.sessionDays)
    return { tokenType: 'Cookie', csrfToken, expiresIn: ACCESS_TOKEN_SECONDS }
  }

  /** The refresh token of the body, or that of the cookie if the request has a valid CSRF token. */
  async function refreshTokenOf(request: Request, given: string | undefined): Promise<string | undefined> {
    const cookie = given === undefined ? refreshCookie(request) : undefined
    if (cookie === undefined) return given
    const sessionId = await sessionOfToken(database, cookie)
    if (sessionId !== undefined) await assertCsrfToken(request, accounts, sessionId)
    return cookie
  }

  async function logOutByAccessToken(request: Request): Promise<boolean> {
    const user = await currentUser(accounts, request)
    if (user) await endSessions(database, { sessionId: user.sessionId }, 'logged_out')
    return user !== undefined
  }

  return [
    operation({
      ...publicPost,
      path: '/api/auth/register',
      summary: 'Creates an account and mails a link to verify its address; the response is the same if the address has an account',
      guards: [limits.perAddress('registration')],
      body: z.strictObject({ email, password: newPassword, name, invitation: z.string().max(1000).optional() }),
      statuses: [202],
      answer: accepted,
      problems: ['registration_closed', 'invitation_required', 'limits_unavailable', 'busy'],
      async handle(body, request) {
        await register(accounts, { ...body, source: clientOf(request) })
        return { status: 'accepted' as const }
      },
    }),
    operation({
      ...publicPost,
      path: '/api/auth/verify-email',
      summary: 'Verifies the address of an account with the token of a mailed link and the password of the registration',
      guards: [limits.perAddress('login')],
      body: z.strictObject({ token, password }),
      statuses: [204],
      problems: ['verification_token_invalid', 'wrong_password', 'limits_unavailable', 'busy'],
      handle: (body) => limits.guardPasswordCheck(body.token, () => verifyAddress(accounts, body)),
    }),
    operation({
      ...publicPost,
      path: '/api/auth/login',
      summary: 'Opens a session',
      guards: [limits.perAddress('login')],
      body: z.strictObject({ email, password, cookies }),
      statuses: [200],
      answer: session,
      problems: ['invalid_credentials', 'limits_unavailable', 'busy'],
      async handle(body, request, response) {
        const login = { account: normaliseEmail(body.email), source: clientOf(request) }
        const tokens = await limits.guardLogin(login, () => logIn(accounts, body))
        return answerWith(tokens, body.cookies, response)
      },
    }),
    operation({
      ...publicPost,
      security: 'refreshToken',
      path: '/api/auth/refresh',
      summary: 'Exchanges a refresh token for the next one and an access token',
      guards: [limits.perAddress('general')],
      body: z.strictObject({ refreshToken: token.optional() }),
      statuses: [200],
      answer: session,
      problems: ['refresh_token_invalid', 'csrf_token_invalid'],
      async handle(body, request, response) {
        const refreshToken = await refreshTokenOf(request, body.refreshToken)
        if (refreshToken === undefined) throw problem('refresh_token_invalid', 'There is no refresh token in the body or in a cookie')
        const sessionId = await sessionOfToken(database, refreshToken)
        if (sessionId !== undefined) await limits.countRefresh(sessionId)
        return answerWith(await refreshSession(accounts, refreshToken), body.refreshToken === undefined, response)
      },
    }),
    operation({
      ...publicPost,
      security: 'anyToken',
      path: '/api/auth/logout',
      summary: 'Ends the session of the refresh token (body or cookie) or of the access token',
      guards: [limits.perAddress('general')],
      body: z.strictObject({ refreshToken: token.optional() }).optional(),
      statuses: [204],
      problems: ['not_authenticated', 'csrf_token_invalid'],
      async handle(body, request, response) {
        const bearer = body?.refreshToken === undefined && bearerToken(request.get('authorization')) !== undefined
        const refreshToken = bearer ? undefined : await refreshTokenOf(request, body?.refreshToken)
        const isKnown = refreshToken === undefined ? await logOutByAccessToken(request) : await logOutByToken(accounts, refreshToken)
        if (!isKnown) throw notAuthenticated(request)
        clearSessionCookies(response)
      },
    }),
    operation({
      ...user,
      method: 'post',
      path: '/api/auth/logout-all',
      summary: 'Ends all sessions of the account, including this one',
      statuses: [204],
      problems: [],
      async handle(_body, _request, response) {
        await endSessions(database, { userId: identityOf(response).userId }, 'logged_out')
        clearSessionCookies(response)
      },
    }),
    operation({
      ...publicPost,
      path: '/api/auth/forgot-password',
      summary: 'Mails a link to set a new password if the address has an account; the response is the same if it has none',
      guards: [limits.perAddress('forgot')],
      body: z.strictObject({ email }),
      statuses: [202],
      answer: accepted,
      problems: ['limits_unavailable', 'mail_unavailable'],
      async handle(body, request) {
        if (!accounts.mailer.available) throw problem('mail_unavailable', 'Ask your administrator for a new password')
        await requestPasswordReset(accounts, { email: body.email, source: clientOf(request) })
        return { status: 'accepted' as const }
      },
    }),
    operation({
      ...publicPost,
      path: '/api/auth/reset-password',
      summary: 'Sets a new password with the token of a mailed link; ends all sessions',
      guards: [limits.perAddress('general')],
      body: z.strictObject({ token, password: newPassword }),
      statuses: [204],
      problems: ['reset_token_invalid', 'busy'],
      async handle(body, request) {
        const account = await resetPassword(accounts, body)
        await limits.rememberSource({ account, source: clientOf(request) })
      },
    }),
    operation({
      ...user,
      method: 'post',
      path: '/api/auth/change-password',
      summary: 'Changes the password of the user; ends all other sessions, and replaces the refresh token of this one',
      body: z.strictObject({ currentPassword: password, newPassword }),
      statuses: [200],
      answer: session,
      problems: ['wrong_password', 'limits_unavailable', 'busy'],
      async handle(body, request, response) {
        const identity = identityOf(response)
        const tokens = await limits.guardPasswordCheck(identity.sessionId, () => changePassword(accounts, identity, body))
        return answerWith(tokens, bearerToken(request.get('authorization')) === undefined, response)
      },
    }),
    operation({
      ...user,
      method: 'get',
      path: '/api/auth/me',
      summary: 'Returns the authenticated user',
      statuses: [200],
      answer: me,
      problems: [],
      async handle(_body, _request, response) {
        const { userId: id, email, name, role } = identityOf(response)
        return { id, email, name, role }
      },
    }),
  ]
}
