// Clients that request more than they read, or send more than the limits allow.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { countAnswers, oneByteChunks, rawClient } from '../support/raw-client.ts'
import { newCallSid } from '../support/servers.ts'
import { postRaw, postWebhook, sign } from '../support/webhook.ts'

const BASIC = 'exotel:pass word'
let backend: Backend
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { EXOTEL_WEBHOOK_BASIC: BASIC, EXOTEL_WEBHOOK_TOKEN: 'tok' } })
})
afterAll(() => backend?.stop())

const GET = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const HUNDREDS = 1200
const webhookHead = (headers: string, path = '/webhooks/exotel/call-end') => `POST ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n`
const basic = (text: string) => `Authorization: Basic ${Buffer.from(text).toString('base64')}`

test.each(['/docs/swagger-ui-bundle.js', '/openapi.json', '/health', '/api/nothing'])(
  'When hundreds of requests for %s are pipelined on one connection, then it is closed after a few responses',
  async (path) => {
    const { closed } = await rawClient(backend.apiUrl, GET(path).repeat(HUNDREDS))
    expect((await closed).split('HTTP/1.1 ').length - 1).toBeLessThan(20)
    expect((await fetch(`${backend.apiUrl}/health/ready`)).status).toBe(200)
  },
)

test('When a few requests are pipelined on one connection, then the responses arrive in the same order', async () => {
  const { received, socket } = await rawClient(
    backend.apiUrl,
    GET('/health/ready') + GET('/docs/start.js') + GET('/nothing') + GET('/health'),
  )
  await eventually('four responses', async () => received().split('HTTP/1.1 ').length === 5)
  expect([...received().matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['200', '200', '404', '200'])
  socket.destroy()
})

describe('When a body is sent in thousands of chunks of one byte, then the connection is closed without a response:', () => {
  const small = oneByteChunks(' '.repeat(16_000))
  const chunked = 'Content-Type: application/json\r\nTransfer-Encoding: chunked'
  const login = webhookHead(chunked, '/api/auth/login')
  const webhook = webhookHead(`X-Exotel-Signature: ${'0'.repeat(40)}\r\n${chunked}`)
  const authenticated = webhookHead(`${basic(BASIC)}\r\n${chunked}`)
  test.each([
    ['of a login', login + small],
    ['of a webhook with a wrong signature', webhook + small],
    ['of an authenticated webhook', authenticated + small],
    ['after a request whose response is not sent yet', GET('/api/auth/me') + (login + small).repeat(16)],
  ])('%s', async (_what, sent) => {
    const { closed } = await rawClient(backend.apiUrl, sent)
    expect(await closed).toBe('')
    expect((await fetch(`${backend.apiUrl}/health/ready`)).status).toBe(200)
  })
})

test('When a body is sent in a few chunks of one byte, then it is read', async () => {
  const head = webhookHead('Content-Type: application/json\r\nTransfer-Encoding: chunked', '/api/auth/login')
  const { received, socket } = await rawClient(backend.apiUrl, head + oneByteChunks('{"email":1}'))
  await eventually('an answer', async () => countAnswers(received(), 422) === 1)
  socket.destroy()
})

describe('When the headers of a webhook contain no valid credentials, then it is rejected before its body is read:', () => {
  test.each([
    ['no credentials', '', ''],
    ['a malformed signature', 'X-Exotel-Signature: wrong\r\n', ''],
    ['a wrong password', `${basic('exotel:no')}\r\n`, ''],
    ['a wrong token', '', '?token=no'],
  ])('%s', async (_what, header, query) => {
    const head = webhookHead(`${header}Expect: 100-continue\r\nContent-Length: 1000000`, `/webhooks/exotel/call-end${query}`)
    const { received, socket } = await rawClient(backend.apiUrl, head)
    await eventually('an answer', async () => received().includes('webhook_not_authenticated'))
    expect(received()).toMatch(/^HTTP\/1\.1 401 /)
    socket.destroy()
  })
})

test('When a client sends Expect: 100-continue with a well-formed signature, then it gets 100 Continue', async () => {
  const callSid = newCallSid()
  const body = JSON.stringify({ CallSid: callSid, Status: 'busy' })
  const head = webhookHead(`X-Exotel-Signature: ${sign(body)}\r\nExpect: 100-continue\r\nContent-Length: ${body.length}`)
  const { received, socket } = await rawClient(backend.apiUrl, head)
  await eventually('100 Continue', async () => received().startsWith('HTTP/1.1 100 Continue'))
  socket.write(body)
  await eventually('the response', async () => countAnswers(received(), 200) === 1)
  socket.destroy()
})

describe('When many connections send large bodies with a wrong signature', () => {
  const LARGE = 1_000_000
  const part = Buffer.alloc(900_000, ' ')
  const head = webhookHead(`X-Exotel-Signature: ${'0'.repeat(40)}\r\nContent-Length: ${LARGE}`)

  test('then only some of them are held in memory, and other webhooks are accepted, including large ones', async () => {
    const all = await Promise.all(Array.from({ length: 40 }, () => rawClient(backend.apiUrl, Buffer.concat([Buffer.from(head), part]))))
    const refused = () => all.filter(({ received }) => countAnswers(received(), 503) === 1)
    await eventually('most to be rejected', async () => refused().length >= 31) // nine of them fit into 8 MB
    expect(refused()[0]!.received()).toMatch(/Retry-After: \d+[^]*"code":"busy"/i)
    expect((await postWebhook(backend.apiUrl, 'call-start', { CallSid: newCallSid() })).status).toBe(200)

    const large = { CallSid: newCallSid(), CustomField: 'a'.repeat(900_000) }
    expect((await postWebhook(backend.apiUrl, 'call-start', large)).status).toBe(200)
    for (const { socket } of all) socket.destroy()
  })
})

test.each([
  ['chunked', 'Transfer-Encoding: chunked', `${(1_100_000).toString(16)}\r\n${'a'.repeat(1_100_000)}\r\n0\r\n\r\n`],
  ['announced', 'Content-Length: 1100000', ''],
])('When a signed body is too large, %s, then the response is 413 before all of it was read', async (_how, header, body) => {
  const { received, socket } = await rawClient(backend.apiUrl, webhookHead(`X-Exotel-Signature: ${'0'.repeat(40)}\r\n${header}`) + body)
  await eventually('an answer', async () => countAnswers(received(), 413) === 1)
  socket.destroy()
})

describe('When a signed body is sent again with another content type, then it is rejected:', () => {
  test.each([
    ['JSON as a form', 'application/x-www-form-urlencoded'],
    ['JSON as multipart', 'multipart/form-data; boundary=B'],
  ])('%s', async (_how, type) => {
    const body = JSON.stringify({ CallSid: newCallSid(), CustomField: '&CallSid=injected&Status=completed&' })
    const response = await postRaw(backend.apiUrl, 'call-end', body, { 'content-type': type })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code: 'unreadable_body' })
    expect(await backend.callRow('injected')).toBeUndefined()
  })
})

describe('When a field is far too long, then its length is the only error that is reported:', () => {
  const long = '\u0315\u0300\u05ae\u0062'.repeat(8000)
  test.each([
    ['/api/auth/register', { email: 'a@example.com', name: 'A', password: long }, 'password'],
    ['/api/auth/register', { email: `${'a'.repeat(60_000)}@example.com`, name: 'A', password: 'x' }, 'email'],
    ['/api/auth/register', { email: 'a@example.com', name: 'x'.repeat(60_000), password: 'x' }, 'name'],
    ['/api/auth/register', { email: 'a@example.com', name: 'A', password: 'x', invitation: 'x'.repeat(60_000) }, 'invitation'],
    ['/api/auth/login', { email: 'a@example.com', password: long }, 'password'],
    ['/api/auth/reset-password', { token: 'x'.repeat(60_000), password: 'x' }, 'token'],
    ['/api/auth/reset-password', { token: 'x', password: long }, 'password'],
    ['/api/auth/refresh', { refreshToken: 'x'.repeat(60_000) }, 'refreshToken'],
  ])('%s %#', async (path, body, field) => {
    const response = await fetch(`${backend.apiUrl}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    expect(response.status).toBe(422)
    const { errors } = (await response.json()) as { errors: { field: string; message: string }[] }
    const about = errors.filter((each) => each.field === field)
    expect(about).toEqual([{ field, message: expect.stringMatching(/at most|too big/i) }])
  })
})
