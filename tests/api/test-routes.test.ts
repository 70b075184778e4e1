import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import express from 'express'
import { pino } from 'pino'
import type { ConnectionChecks } from '../../api/connection-checks.ts'
import type { Limits } from '../../api/limits.ts'
import { errorHandler } from '../../api/middleware/errors.ts'
import { operationRoutes } from '../../api/operation.ts'
import { testOperations } from '../../api/routes/test-connections.ts'
import { bearer, get, post } from '../support/accounts.ts'
import { startAnotherApi, startBackend, type Backend } from '../support/backend.ts'
import { PRODUCTION } from '../support/production.ts'
import { serve } from '../support/serve.ts'

const TOKEN = 'the-token-of-the-test-routes'
const logger = pino({ level: 'silent' })
const ROUTES = ['email', 'storage', 'exotel', 'temporal', 'database'].map((name) => `/api/test/${name}-connection`)

let backend: Backend
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { DEV_TEST_TOKEN: TOKEN } })
})
afterAll(() => backend?.stop())

describe.each(ROUTES)('%s', (path) => {
  test('no token: 401; a wrong token: 403; the right token: the state of the connection', async () => {
    const none = await get(backend.apiUrl, path)
    expect([none.status, none.body.code, none.headers.get('www-authenticate')]).toEqual([401, 'not_authenticated', 'Bearer'])
    for (const wrong of ['wrong', `${TOKEN}x`, TOKEN.slice(1), TOKEN.toUpperCase()])
      expect(await get(backend.apiUrl, path, bearer(wrong))).toMatchObject({ status: 403, body: { code: 'test_token_wrong' } })
    expect(await get(backend.apiUrl, path, bearer(TOKEN))).toMatchObject({
      status: 200,
      body: { status: 'ok', detail: expect.any(String) },
    })
    expect(backend.logs('api')).toMatch(/"address":"[^"]*127\.0\.0\.1".*"Request to a test route rejected: [^"]*"/)
  })
})

test('When the method is not GET, then 405 names the allowed methods', async () => {
  const answer = await post(backend.apiUrl, ROUTES[0]!, {}, bearer(TOKEN))
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
})

test('When a connection fails, then the response describes the fault without secrets', async () => {
  const api = await startAnotherApi(backend, {
    WASABI_SECRET_KEY: 'not-the-secret',
    EXOTEL_API_TOKEN: 'not-the-token',
    TEMPORAL_NAMESPACE: 'nowhere',
    SMTP_URL: 'smtp://user:smtp-password@127.0.0.1:1',
    PUBLIC_URL: 'https://calls.example.com',
  })
  for (const name of ['email', 'storage', 'exotel', 'temporal']) {
    const { status, body } = await get(api, `/api/test/${name}-connection`, bearer(TOKEN))
    expect([status, body.status]).toEqual([200, 'failed'])
    expect(JSON.stringify(body)).not.toMatch(/not-the|smtp-password/)
  }
})

test('When the test routes are mounted in production by mistake, then they respond 404', async () => {
  const unlimited = (_request: unknown, _response: unknown, next: () => void) => next()
  const limits = { perAddress: () => unlimited } as unknown as Limits
  const checks = { database: async () => 'fine' } as ConnectionChecks
  const app = express().use(
    operationRoutes(testOperations({ environment: 'test', devTestToken: TOKEN, checks, limits, logger }), unlimited),
  )
  app.use(errorHandler(logger))
  const { url, close } = await serve(app)
  try {
    expect((await get(url, '/api/test/database-connection', bearer(TOKEN))).status).toBe(200)
    process.env.NODE_ENV = 'production'
    expect((await get(url, '/api/test/database-connection', bearer(TOKEN))).status).toBe(404)
  } finally {
    process.env.NODE_ENV = 'test'
    close()
  }
})

test.each([
  ['in production', PRODUCTION],
  ['without DEV_TEST_TOKEN', { DEV_TEST_TOKEN: '' }],
])('When the API runs %s, then there are no test routes', async (_how, env) => {
  const api = await startAnotherApi(backend, env)
  for (const path of ROUTES)
    for (const headers of [{}, bearer('wrong'), bearer(TOKEN)])
      expect(await get(api, path, headers)).toMatchObject({ status: 404, body: { code: 'not_found' } })
})
