import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { get, newPerson, post } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'

let backend: Backend
let api: string
beforeAll(async () => {
  backend = await startBackend({ start: ['api'] })
  api = backend.apiUrl
})
afterAll(() => backend?.stop())

const LOGIN = '/api/auth/login'
const deep = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`

describe('When a request is invalid, then the response is a problem:', () => {
  test.each([
    ['truncated JSON', LOGIN, '{"email":', {}, 400, 'malformed_json'],
    ['invalid UTF-8', LOGIN, Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), {}, 400, 'malformed_json'],
    ['a duplicate name', LOGIN, '{"email":"a@example.com","email":"b@example.com","password":"x"}', {}, 400, 'malformed_json'],
    ['nine levels', LOGIN, deep(9), {}, 400, 'malformed_json'],
    ['60,000 levels', LOGIN, '['.repeat(60_000), {}, 400, 'malformed_json'],
    ['a long array', LOGIN, JSON.stringify(Array.from({ length: 1001 }, () => 1)), {}, 400, 'malformed_json'],
    ['no body', LOGIN, '', {}, 422, 'invalid_fields'],
    ['an array', LOGIN, '[]', {}, 422, 'invalid_fields'],
    ['a string', LOGIN, '"x"', {}, 422, 'invalid_fields'],
    ['another content type', LOGIN, 'a=b', { 'content-type': 'application/x-www-form-urlencoded' }, 415, 'unsupported_media_type'],
    ['no content type', LOGIN, '{}', { 'content-type': '' }, 415, 'unsupported_media_type'],
    ['gzip', LOGIN, '{}', { 'content-encoding': 'gzip' }, 415, 'unsupported_encoding'],
    ['a password of 10 MB', LOGIN, JSON.stringify({ email: 'a@example.com', password: 'x'.repeat(10_000_000) }), {}, 413, 'body_too_large'],
    ['an unknown path', '/api/auth/nothing', '{}', {}, 404, 'not_found'],
    ['a path that cannot be decoded', '/api/%ff', '{}', {}, 404, 'not_found'],
  ] as [string, string, string | Buffer, Record<string, string>, number, string][])('%s', async (_what, path, body, more, status, code) => {
    const headers = { 'content-type': 'application/json', ...more }
    const response = await fetch(`${api}${path}`, { method: 'POST', headers, body: body as string })
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toMatch('application/problem+json')
    const problem = (await response.json()) as Record<string, unknown>
    expect(problem).toMatchObject({ type: 'about:blank', status, code, title: expect.any(String), requestId: expect.any(String) })
    expect(JSON.stringify(problem)).not.toMatch(/node_modules|\.[jt]s:\d/)
  })

  test.each(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('%s instead of POST: 405 with Allow', async (method) => {
    const response = await fetch(`${api}${LOGIN}`, { method })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
    expect(await response.json()).toMatchObject({ code: 'method_not_allowed' })
  })

  test('an unexpected error: 500 without its reason', async () => {
    await backend.database.query('ALTER TABLE users RENAME TO users_away')
    const answer = await post(api, LOGIN, { email: 'a@example.com', password: 'x' }).finally(() =>
      backend.database.query('ALTER TABLE users_away RENAME TO users'),
    )
    expect(answer).toMatchObject({ status: 500, body: { code: 'internal_error' } })
    expect(JSON.stringify(answer.body)).not.toMatch(/users|prisma|relation/i)
  })
})

test('When a field has the wrong type, then the error names the type, and does not say that the field is missing', async () => {
  const { body } = await post<{ errors: { field: string; message: string }[] }>(api, LOGIN, { email: 17, cookies: 'yes' })
  const messages = Object.fromEntries(body.errors.map(({ field, message }) => [field, message]))
  expect(messages).toEqual({
    email: expect.stringMatching(/expected string/),
    cookies: expect.stringMatching(/expected boolean/),
    password: 'is missing',
  })
})

test.each(['/docs', '/docs/start.js', '/reset-password', '/reset-password/page.js', '/verify-email', '/verify-email/page.js'])(
  'When %s is requested with Range, with preconditions or with POST, then the response is 200 or 405',
  async (path) => {
    for (const headers of [{ range: 'bytes=99999999-' }, { 'if-match': '"a"' }, { 'if-none-match': '*' }] as Record<string, string>[])
      expect((await fetch(`${api}${path}`, { headers })).status).toBe(200)
    const posted = await fetch(`${api}${path}`, { method: 'POST' })
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  },
)

test('When the body contains names with a special meaning in JavaScript, then they are ignored', async () => {
  const { email, password } = newPerson()
  const body = `{"__proto__":{"role":"admin"},"constructor":{"prototype":{"role":"admin"}},"email":"${email}","password":"${password}"}`
  expect(await post(api, LOGIN, body)).toMatchObject({ status: 401, body: { code: 'invalid_credentials' } })
  expect(({} as { role?: string }).role).toBeUndefined()
})

test('When any path is requested, then the response has security headers and does not name the server software', async () => {
  for (const path of ['/health', '/docs/', '/api/nothing', '/reset-password', '/verify-email']) {
    const { headers } = await fetch(`${api}${path}`)
    expect(headers.get('x-powered-by')).toBeNull()
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none';script-src 'self';/)
    expect(headers.get('content-security-policy')).not.toMatch(/script-src[^;]*unsafe/)
    expect(headers.get('strict-transport-security')).toMatch('max-age=31536000')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
    expect(headers.get('access-control-allow-origin')).toBeNull()
  }
  expect((await get(api, '/api/auth/me')).status).toBe(401)
  const preflight = await fetch(`${api}${LOGIN}`, {
    method: 'OPTIONS',
    headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
  })
  expect(preflight.headers.get('access-control-allow-origin')).toBeNull()
})

test.each(['/docs', '/docs/', '/docs/start.js', '/reset-password', '/verify-email', '/api/nothing', '/health', '/openapi.json'])(
  'When %s is embedded in a page of any site, then browsers do not show it',
  async (path) => {
    const policy = (await fetch(`${api}${path}`)).headers.get('content-security-policy') ?? ''
    expect(policy.split(';').filter((directive) => directive.startsWith('frame-ancestors'))).toEqual(["frame-ancestors 'none'"])
  },
)

test('When a page is opened, then all its files come from our own origin', async () => {
  for (const path of ['/docs/', '/reset-password/', '/verify-email/']) {
    const html = await (await fetch(`${api}${path}`)).text()
    expect(html).not.toMatch(/<script>|onload=|https?:/)
    for (const [, src] of html.matchAll(/(?:src|href)="([^"]+)"/g)) expect((await fetch(`${api}${src}`)).status).toBe(200)
  }
})

test('When the document is requested, then it is OpenAPI 3.1 and names every operation with its problems', async () => {
  const { body } = await get<{ openapi: string; paths: Record<string, Record<string, { responses: object }>> }>(api, '/openapi.json')
  expect(body.openapi).toBe('3.1.0')
  expect(Object.keys(body.paths)).toEqual(
    expect.arrayContaining(['/health', '/api/auth/login', '/api/auth/me', '/webhooks/exotel/call-end', '/openapi.json']),
  )
  expect(Object.keys(body.paths['/api/auth/login']!.post!.responses)).toEqual(
    expect.arrayContaining(['200', '400', '401', '405', '413', '415', '422', '429', '500', '503']),
  )
})

test('When the headers of a client are too long, then it gets 431, and other clients are served', async () => {
  const socket = connect(Number(new URL(api).port), '127.0.0.1')
  const closed = new Promise<string>((resolve) => {
    let answer = ''
    socket.on('data', (data) => (answer += data.toString()))
    socket.on('close', () => resolve(answer))
    socket.on('error', () => resolve(answer))
  })
  socket.write(`GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(20_000)}`)
  expect((await get(api, '/health')).status).toBe(200)
  expect(await closed).toMatch(/^HTTP\/1\.1 431 [^]*application\/problem\+json[^]*headers_too_large/)
})

test('When /health is requested, then it reports the state, and unknown paths are problems', async () => {
  expect((await fetch(`${backend.apiUrl}/health/ready`)).status).toBe(200)
  await eventually('/health to respond', async () => (await fetch(`${backend.apiUrl}/health`)).status === 200)
  expect(await (await fetch(`${backend.apiUrl}/health`)).json()).toMatchObject({
    database: 'ok',
    recordings: { unrelayed: expect.any(Number) },
  })
  const missing = await fetch(`${backend.apiUrl}/nowhere`)
  expect(missing.status).toBe(404)
  expect(await missing.json()).toMatchObject({ code: 'not_found', type: 'about:blank' })
  expect((await fetch(`${backend.apiUrl}/webhooks/exotel/call-end/`, { method: 'POST' })).status).toBe(401)
  expect(missing.headers.get('x-powered-by')).toBeNull()
  expect(missing.headers.get('content-security-policy')).not.toBeNull()
})
