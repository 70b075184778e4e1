// What responses of the API contain besides their bodies, and which errors are logged.
import { afterAll, afterEach, describe, expect, test } from '@jest/globals'
import express, { type Express, type RequestHandler } from 'express'
import { pino } from 'pino'
import { z } from 'zod'
import { createAccounts } from '../../api/accounts.ts'
import { clearSessionCookies, setSessionCookies } from '../../api/cookies.ts'
import type { Limits } from '../../api/limits.ts'
import { errorHandler } from '../../api/middleware/errors.ts'
import { operation, operationRoutes } from '../../api/operation.ts'
import { accountOperations } from '../../api/routes/accounts.ts'
import { readConfig } from '../../platform/config.ts'
import { connectDatabase } from '../../platform/database.ts'
import { problem } from '../../platform/http-problems.ts'
import { accountsOn, post } from '../support/accounts.ts'
import { PRODUCTION } from '../support/production.ts'
import { serve as serveLocally } from '../support/serve.ts'
import { MINIMAL } from '../support/settings.ts'

const silent = pino({ level: 'silent' })
const unlimited: RequestHandler = (_request, _response, next) => next()
/** PostgreSQL refuses connections. */
const database = connectDatabase({ url: 'postgresql://postgres@127.0.0.1:1/x', poolSize: 1, logger: silent })

let close: (() => void) | undefined
afterEach(() => close?.())
afterAll(() => database.$disconnect())

async function serve(app: Express): Promise<string> {
  const served = await serveLocally(app)
  close = served.close
  return served.url
}

describe('When a request fails', () => {
  async function linesFor(error: Error): Promise<{ status: number; lines: object[] }> {
    const lines: object[] = []
    const logger = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
    const failing: RequestHandler = (_request, _response, next) => next(error)
    const { status } = await fetch(await serve(express().use(failing).use(errorHandler(logger))))
    return { status, lines }
  }

  test('because of an unexpected error, then the error is logged', async () => {
    const { status, lines } = await linesFor(new TypeError('x is not a function'))
    expect([status, lines]).toEqual([500, [expect.objectContaining({ level: 50, msg: 'Request failed', method: 'GET' })]])
  })

  test.each([
    [503, problem('busy', 'Too many large requests')],
    [401, problem('not_authenticated', 'A token is required')],
  ])('with %i, which a client can cause as often as it wants, then nothing is logged', async (status, error) => {
    expect(await linesFor(error)).toEqual({ status, lines: [] })
  })
})

test('When an operation succeeds, then its response is not stored by caches', async () => {
  const declared = operation({
    method: 'get',
    path: '/x',
    summary: 'x',
    tag: 'x',
    security: 'none',
    guards: [],
    problems: [],
    statuses: [200],
    answer: z.strictObject({ accessToken: z.string() }),
    handle: async () => ({ accessToken: 'secret' }),
  })
  const response = await fetch(`${await serve(express().use(operationRoutes([declared], unlimited)))}/x`)
  expect([response.status, response.headers.get('cache-control')]).toEqual([200, 'no-store'])
})

test('When a session opens and ends, then each cookie has its path and lifetime, and is cleared at the same path', async () => {
  const tokens = { accessToken: 'a', refreshToken: 'r', csrfToken: 'c' }
  const app = express()
  app.get('/open', (_request, response) => {
    setSessionCookies(response, tokens as Parameters<typeof setSessionCookies>[1], 30)
    response.end()
  })
  app.get('/end', (_request, response) => {
    clearSessionCookies(response)
    response.end()
  })
  const url = await serve(app)
  const cookies = async (path: string) =>
    (await fetch(url + path)).headers.getSetCookie().map((each) => ({
      name: each.split('=')[0],
      path: /; Path=([^;]+)/.exec(each)![1],
      seconds: Number(/; Max-Age=(\d+)/.exec(each)?.[1] ?? 0),
    }))
  const month = 30 * 24 * 3600
  const set = [
    { name: '__Host-access', path: '/', seconds: 900 },
    { name: '__Secure-refresh', path: '/api/auth', seconds: month },
    { name: '__Host-csrf', path: '/', seconds: month },
  ]
  expect(await cookies('/open')).toEqual(set)
  expect(await cookies('/end')).toEqual(set.map((each) => ({ ...each, seconds: 0 })))
})

test('When no mail can be sent, then a request for a password reset says so', async () => {
  const limits = { perAddress: () => unlimited } as unknown as Limits
  const operations = accountOperations({ accounts: accountsOn(database), limits })
  const url = await serve(express().use(operationRoutes(operations, unlimited)).use(errorHandler(silent)))
  const { status, body } = await post(url, '/api/auth/forgot-password', { email: 'person@example.com' })
  expect([status, body.code]).toEqual([503, 'mail_unavailable'])
})

test.each([
  ['production', PRODUCTION, false],
  ['development', {}, true],
])('When SMTP_URL is not set in %s, then mails with their secret links are written to a folder: %s', async (_where, env, available) => {
  const accounts = createAccounts(readConfig({ ...MINIMAL, ...env }), { database, logger: silent })
  await accounts.mails.stop()
  expect(accounts.mailer.available).toBe(available)
})
