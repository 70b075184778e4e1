// Compares responses of every operation with /openapi.json.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { freePort } from '../../dev/ports.ts'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { bearer, loggedIn, newPerson, registered } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { undocumented, type OpenApiDocument } from '../support/documented.ts'
import { eventually } from '../support/eventually.ts'
import { rawClient } from '../support/raw-client.ts'
import { colleague } from '../support/roles.ts'
import { newCallSid } from '../support/servers.ts'
import { sign } from '../support/webhook.ts'

const TEST_TOKEN = 'the-token-of-the-test-routes'
interface Account {
  id: string
  email: string
}

const JSON_TYPE = { 'content-type': 'application/json' }

let backend: Backend
/** An API process whose PostgreSQL refuses connections. */
let waiting: Backend
let document: OpenApiDocument
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { DEV_TEST_TOKEN: TEST_TOKEN } })
  waiting = await startBackend({ start: [], databasePort: await freePort(0) })
  waiting.launch('api')
  document = (await (await fetch(`${backend.apiUrl}/openapi.json`)).json()) as OpenApiDocument
})
afterAll(async () => {
  await backend?.stop()
  await waiting?.stop()
})

const seen = new Set<string>()

/**
 * Sends a request, and fails if the document does not allow its response.
 * @param path as in the document; `at` is the path of the request if it has parameters
 */
async function exchange(
  method: 'get' | 'post',
  path: string,
  init: RequestInit & { query?: string; api?: string; at?: string } = {},
): Promise<Response> {
  const { query = '', api = backend.apiUrl, at = path, ...request } = init
  const response = await fetch(`${api}${at}${query}`, { method: method.toUpperCase(), ...request })
  const copy = response.clone()
  const contentType = response.headers.get('content-type')
  expect(undocumented(document, { method, path, status: response.status, contentType, body: await response.text() })).toEqual([])
  seen.add(`${method} ${path} ${response.status}`)
  return copy
}

function send(path: string, body: unknown, headers: Record<string, string> = {}, at = path): Promise<Response> {
  return exchange('post', path, { headers: { ...JSON_TYPE, ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body), at })
}

test('When account operations succeed and fail, then each response is as documented', async () => {
  const person = await registered(backend)
  await send('/api/auth/register', newPerson())
  await send('/api/auth/forgot-password', { email: person.email })
  for (const [path, body] of [
    ['/api/auth/register', { ...newPerson(), password: 'short' }],
    ['/api/auth/verify-email', { token: 'unknown', password: person.password }],
    ['/api/auth/login', { email: person.email, password: 'wrong' }],
    ['/api/auth/login', '{"email":'],
    ['/api/auth/login', { email: 17, more: true }],
    ['/api/auth/refresh', { refreshToken: 'unknown' }],
    ['/api/auth/logout', {}],
    ['/api/auth/reset-password', { token: 'unknown', password: 'a long passphrase' }],
  ] as const)
    await send(path, body)
  await exchange('post', '/api/auth/login', { headers: { 'content-type': 'text/plain' }, body: 'x' })
  await exchange('post', '/api/auth/login', { headers: JSON_TYPE, body: `"${'x'.repeat(70_000)}"` })

  const tokens = await loggedIn(backend.apiUrl, person)
  const headers = bearer(tokens.accessToken)
  await exchange('get', '/api/auth/me', { headers })
  await exchange('get', '/api/auth/me')
  await send('/api/auth/change-password', { currentPassword: 'wrong', newPassword: 'another long passphrase' }, headers)
  await send('/api/auth/change-password', { currentPassword: person.password, newPassword: 'another long passphrase' }, headers)
  await exchange('post', '/api/auth/logout-all')
  await exchange('post', '/api/auth/logout-all', { headers })
})

test('When a browser sends cookies, then the document names them and the header that they need', async () => {
  const person = await registered(backend)
  const login = await send('/api/auth/login', { email: person.email, password: person.password, cookies: true })
  const cookiesOf = (response: Response): string =>
    response.headers
      .getSetCookie()
      .map((each) => each.split(';')[0])
      .join('; ')
  const { csrfToken } = (await login.json()) as { csrfToken: string }
  const schemes = document.components.securitySchemes
  const names = Object.fromEntries(Object.values(schemes).map((scheme) => [scheme.name, `${scheme.type} ${scheme.in}`]))
  for (const cookie of cookiesOf(login)
    .split('; ')
    .map((each) => each.split('=')[0]!))
    if (cookie !== '__Host-csrf') expect(names).toMatchObject({ [cookie]: 'apiKey cookie' })
  expect(names).toMatchObject({ 'X-CSRF-Token': 'apiKey header' })

  const cookie = cookiesOf(login)
  await exchange('get', '/api/auth/me', { headers: { cookie } })
  expect((await exchange('post', '/api/auth/logout-all', { headers: { cookie } })).status).toBe(403)
  expect((await send('/api/auth/refresh', {}, { cookie })).status).toBe(403)
  expect((await send('/api/auth/logout', {}, { cookie })).status).toBe(403)
  const refreshed = await send('/api/auth/refresh', {}, { cookie, 'x-csrf-token': csrfToken })
  expect(refreshed.status).toBe(200)
  expect((await send('/api/auth/logout', {}, { cookie: cookiesOf(refreshed), 'x-csrf-token': csrfToken })).status).toBe(204)

  const securityOf = (method: string, path: string): string[] =>
    document.paths[path]![method]!.security.map((scheme) => Object.keys(scheme).toSorted().join(' and ')).toSorted()
  expect(securityOf('get', '/api/auth/me')).toEqual(['accessCookie', 'accessToken'])
  expect(securityOf('post', '/api/auth/logout-all')).toEqual(['accessCookie and csrfToken', 'accessToken'])
  expect(securityOf('post', '/api/auth/refresh')).toEqual(['', 'csrfToken and refreshCookie'])
  expect(securityOf('post', '/api/auth/logout')).toEqual(['', 'accessCookie and csrfToken', 'accessToken', 'csrfToken and refreshCookie'])
  expect(securityOf('post', '/api/auth/login')).toEqual([])
})

test('When operations on calls succeed and fail, then each response is as documented', async () => {
  const [operator, admin, user] = await Promise.all((['operator', 'admin', 'user'] as const).map((role) => colleague(backend, role)))
  const { headers } = operator!
  const [callSid, missing] = [newCallSid(), newCallSid()]
  const key = `recordings/2026/11/29/${callSid}-${'a'.repeat(12)}.mp3`
  await backend.bucket.client.send(new PutObjectCommand({ Bucket: backend.bucket.name, Key: key, Body: 'x' }))
  await backend.database.query(
    `INSERT INTO calls (call_sid, recording_state, recording_error, recording_error_code) VALUES ($1, 'failed', 'x', 'RecordingInvalid'), ($2, 'failed', 'x', 'RecordingMissing')`,
    [callSid, missing],
  )
  const { rows } = await backend.database.query<{ id: string }>(
    `INSERT INTO recordings (call_sid, source_url, state, error, error_code, bucket, object_key, bytes, sha256)
     VALUES ($1, 'https://recordings.exotel.com/1', 'quarantined', 'x', 'RecordingDamaged', $2, $3, 1, repeat('a', 64)) RETURNING id`,
    [callSid, backend.bucket.name, key],
  )
  const call = `/api/calls/${callSid}`
  await exchange('get', '/api/calls', { headers })
  await exchange('get', '/api/calls', { headers: user!.headers })
  await exchange('get', '/api/calls', { headers, query: '?state=x' })
  await exchange('get', '/api/calls/{callSid}', { headers, at: call })
  await exchange('get', '/api/calls/{callSid}', { headers, at: '/api/calls/unknown' })
  const plays = '/api/calls/{callSid}/recordings/{recordingId}/plays'
  const link = (await (await send(plays, { kind: 'play' }, headers, `${call}/recordings/${rows[0]!.id}/plays`)).json()) as { url: string }
  await send(plays, { kind: 'sing' }, headers, `${call}/recordings/${rows[0]!.id}/plays`)
  await exchange('get', '/api/plays/{token}', { at: link.url })
  await exchange('get', '/api/plays/{token}', { at: link.url, headers: { range: 'bytes=0-0' } })
  await exchange('get', '/api/plays/{token}', { at: link.url, headers: { range: 'bytes=5-' } })
  await exchange('get', '/api/plays/{token}', { at: '/api/plays/x' })
  await send('/api/calls/{callSid}/recordings/{recordingId}/retry', {}, headers, `${call}/recordings/${rows[0]!.id}/retry`)
  await send('/api/calls/{callSid}/not-expected', { reason: 'x' }, headers, `/api/calls/${missing}/not-expected`)
  await send('/api/calls/{callSid}/not-expected', { reason: 'x' }, headers, `${call}/not-expected`)
  await send('/api/calls/{callSid}/retry', {}, headers, `/api/calls/${missing}/retry`)
  await send('/api/calls/{callSid}/stop', {}, headers, `/api/calls/${missing}/stop`)
  await send('/api/operations/runs', { what: 'recovery' }, headers) // no worker has created the schedule
  for (const path of ['overview', 'processes', 'passes', 'actions', 'accounts']) {
    await exchange('get', `/api/operations/${path}`, { headers: admin!.headers })
    await exchange('get', `/api/operations/${path}`, { headers: user!.headers })
  }
  const { accounts } = (await (await exchange('get', '/api/operations/accounts', { headers: admin!.headers })).json()) as {
    accounts: Account[]
  }
  const { id } = accounts.find(({ email }) => email === user!.person.email)!
  const role = '/api/operations/accounts/{accountId}/role'
  await send(role, { role: 'viewer', reason: 'x' }, admin!.headers, role.replace('{accountId}', id))
  await send(role, { role: 'viewer', reason: 'x' }, headers, role.replace('{accountId}', id))
})

test('When health, the document and the test routes are requested, then each response is as documented', async () => {
  for (const path of ['/health', '/health/ready', '/openapi.json']) {
    await exchange('get', path)
  }
  for (const path of Object.keys(document.paths).filter((each) => each.startsWith('/api/test/'))) {
    await exchange('get', path, { headers: bearer(TEST_TOKEN) })
    await exchange('get', path, { headers: bearer('another') })
    await exchange('get', path)
  }
})

test('When the process waits for PostgreSQL, then its responses are as documented as well', async () => {
  const api = waiting.apiUrl
  await eventually('the API to listen', async () => (await fetch(`${api}/health`)).ok)
  const ready = await exchange('get', '/health/ready', { api })
  expect([ready.status, await ready.json()]).toEqual([503, { status: 'starting' }])
  await exchange('get', '/health', { api })
  const refused = await exchange('post', '/api/auth/refresh', { api, headers: JSON_TYPE, body: '{"refreshToken":"unknown"}' })
  expect(await refused.json()).toMatchObject({ status: 503, code: 'database_unavailable' })
})

test('When webhooks arrive, then each response is as documented', async () => {
  const fields = (): string => JSON.stringify({ CallSid: newCallSid(), Status: 'completed' })
  const proven = (body: string): RequestInit => ({ headers: { ...JSON_TYPE, 'x-exotel-signature': sign(body) }, body })
  for (const path of Object.keys(document.paths).filter((each) => each.startsWith('/webhooks/'))) {
    await exchange('post', path, proven(fields()))
    await exchange('post', path, proven('{'))
    await exchange('post', path, proven('{"CallSid":"?"}'))
    await exchange('post', path, { headers: JSON_TYPE, body: fields() })
    await exchange('get', path, { query: '?CallSid=x' })
  }
})

test('When all tests above have run, then each operation has succeeded at least once', () => {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { responses }]) => ({ name: `${method} ${path}`, responses })),
  )
  const neverSucceeded = operations
    .filter(({ name, responses }) => !Object.keys(responses).some((status) => status < '300' && seen.has(`${name} ${status}`)))
    .map(({ name }) => name)
  // Other tests cover mailed links, credentials in a query, and what needs a worker.
  const elsewhere =
    /^(post .*\/(verify-email|reset-password|stop|runs|retries|dry-run|cancel)|get .*\/(retries|changes|exports\/calls)|post .*\{callSid\}\/retry|get \/webhooks\/.*)$/
  expect(neverSucceeded.filter((name) => !elsewhere.test(name))).toEqual([])
})

test.each([
  ['400', 'bad_request', 'NONSENSE\r\n\r\n'],
  ['431', 'headers_too_large', `GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(20_000)}\r\n\r\n`],
])(
  'When Node rejects a request with %s %s, then the response has a request id, and the document lists it for every operation',
  async (status, code, sent) => {
    const { closed } = await rawClient(backend.apiUrl, sent)
    const [head = '', body = ''] = (await closed).split('\r\n\r\n')
    const problem = JSON.parse(body) as { requestId: string }
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(head.toLowerCase()).toContain(`\r\nx-request-id: ${problem.requestId}`)
    expect(problem.requestId).toMatch(/^[0-9a-f-]{36}$/)
    for (const [path, methods] of Object.entries(document.paths))
      for (const method of Object.keys(methods))
        expect(undocumented(document, { method, path, status: Number(status), contentType: 'application/problem+json', body })).toEqual([])
    for (const methods of Object.values(document.paths))
      for (const { responses } of Object.values(methods)) expect(responses['408']!.description).toContain('request_timeout')
    expect(code).toBe((JSON.parse(body) as { code: string }).code)
  },
)
