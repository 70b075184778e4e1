import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { startBackend, type Backend } from '../support/backend.ts'
import { newCallSid } from '../support/servers.ts'
import { postWebhook } from '../support/webhook.ts'

const LIMIT = 10
let backend: Backend
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { RATE_LIMIT_GENERAL: String(LIMIT), TRUST_PROXY: '1' } })
})
afterAll(() => backend?.stop())

/** A process remembers the clients that it rejected, so each test uses its own address. */
let hosts = 0
const newAddress = () => ({ 'x-forwarded-for': `198.51.100.${(hosts += 1)}` })

async function statusesOf(count: number, send: () => Promise<Response>): Promise<number[]> {
  const statuses: number[] = []
  for (let i = 0; i < count; i += 1) statuses.push((await send()).status)
  return statuses
}
const count = (all: number[], status: number) => all.filter((each) => each === status).length

describe('When an address sends more requests than the limit, then the others are rejected:', () => {
  test.each([
    ['GET', '/docs', 200],
    ['GET', '/docs/swagger-ui-bundle.js', 200],
    ['POST', '/docs', 405],
    ['GET', '/reset-password/page.js', 200],
    ['GET', '/openapi.json', 200],
    ['GET', '/nowhere', 404],
    ['GET', '/api/auth/login', 405],
    ['GET', '/webhooks/exotel/nothing', 404],
    ['POST', '/webhooks/exotel/call-end', 401],
    ['GET', '/webhooks/exotel/call-end?CallSid=a', 401],
    ['PUT', '/webhooks/exotel/call-end', 405],
  ])('%s %s', async (method, path, usual) => {
    const headers = newAddress()
    const all = await statusesOf(LIMIT + 5, () => fetch(`${backend.apiUrl}${path}`, { method, headers }))
    expect([count(all, usual), count(all, 429)]).toEqual([LIMIT, 5])
  })
})

test('When the limit is reached, then the response is a problem with Retry-After', async () => {
  const headers = newAddress()
  await statusesOf(LIMIT, () => fetch(`${backend.apiUrl}/docs`, { headers }))
  const refused = await fetch(`${backend.apiUrl}/docs`, { headers })
  expect(refused.headers.get('content-type')).toMatch('application/problem+json')
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await refused.json()).toMatchObject({ code: 'rate_limited' })
})

test('When the limit is reached, then health requests and authenticated webhooks of this address still succeed', async () => {
  const headers = newAddress()
  await statusesOf(LIMIT + 1, () => fetch(`${backend.apiUrl}/docs`, { headers }))
  expect(count(await statusesOf(LIMIT * 2, () => fetch(`${backend.apiUrl}/health/ready`, { headers })), 200)).toBe(LIMIT * 2)
  expect(count(await statusesOf(LIMIT * 2, () => fetch(`${backend.apiUrl}/health`, { headers })), 200)).toBe(LIMIT * 2)
  const authenticated = () => postWebhook(backend.apiUrl, 'call-start', { CallSid: newCallSid() }, headers)
  expect(count(await statusesOf(LIMIT * 2, authenticated), 200)).toBe(LIMIT * 2)
  expect((await postWebhook(backend.apiUrl, 'call-start', {}, headers)).status).toBe(400)
})
