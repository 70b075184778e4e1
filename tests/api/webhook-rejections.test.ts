// Webhooks that are rejected: without proof of their origin, too large, or unreadable.
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { WEBHOOK_SECRET, startBackend, type Backend } from '../support/backend.ts'
import { newCallSid } from '../support/servers.ts'
import { postRaw, postWebhook, sign } from '../support/webhook.ts'

const BASIC = 'exotel:pass word'
let backend: Backend
beforeAll(async () => {
  backend = await startBackend({
    start: ['api'],
    env: { EXOTEL_WEBHOOK_SECRET: `old-secret,${WEBHOOK_SECRET}`, EXOTEL_WEBHOOK_BASIC: BASIC, EXOTEL_WEBHOOK_TOKEN: 'to/ken' },
  })
})
afterAll(() => backend?.stop())

const countRows = async () => {
  const { rows } = await backend.database.query(
    'SELECT (SELECT count(*) FROM webhook_events) AS events, (SELECT count(*) FROM calls) AS calls',
  )
  return rows[0] as { events: string; calls: string }
}

describe('When a webhook has no signature, a wrong one or the right one, then the response is as follows:', () => {
  const body = '{"CallSid":"123","CallStatus":"completed"}'
  const url = () => `${backend.apiUrl}/webhooks/exotel/call-end`
  const headers = { 'content-type': 'application/json' }

  test('no signature: 401 and "Missing webhook signature"', async () => {
    const response = await fetch(url(), { method: 'POST', body, headers })
    expect(response.status).toBe(401)
    expect(response.headers.get('content-type')).toMatch('application/problem+json')
    expect(await response.text()).toContain('Missing webhook signature')
  })

  test('a wrong signature: 401', async () => {
    expect((await fetch(url(), { method: 'POST', body, headers: { ...headers, 'x-exotel-signature': 'wrong' } })).status).toBe(401)
  })

  test('the right signature: 200', async () => {
    const response = await fetch(url(), { method: 'POST', body, headers: { ...headers, 'x-exotel-signature': sign(body) } })
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ status: 'accepted', callSid: '123', duplicate: false })
  })
})

describe('When a delivery is rejected, then no row changes:', () => {
  test.each([
    ['unsigned', {}, 401],
    ['signed with another secret', { 'x-exotel-signature': sign('{}', 'x') }, 401],
    ['a wrong password', { authorization: `Basic ${Buffer.from('exotel:no').toString('base64')}` }, 401],
    ['gzip', { 'content-encoding': 'gzip', 'x-exotel-signature': sign('{}') }, 415],
    ['a stale timestamp', { 'x-exotel-signature': sign('{}'), 'x-exotel-timestamp': '1' }, 401],
  ] as [string, Record<string, string>, number][])('%s', async (_how, headers, status) => {
    const before = await countRows()
    const response = await fetch(`${backend.apiUrl}/webhooks/exotel/call-end`, { method: 'POST', body: '{}', headers })
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ status, code: expect.any(String), requestId: expect.any(String) })
    if (status === 401) expect(response.headers.get('www-authenticate')).toBe('Basic realm="webhooks"')
    expect(await countRows()).toEqual(before)
  })

  test('a body over 1 MB, announced or chunked', async () => {
    const before = await countRows()
    const body = Buffer.alloc(1024 ** 2 + 1, 'a')
    expect((await postRaw(backend.apiUrl, 'call-end', body)).status).toBe(413)
    const chunked = new ReadableStream({
      start(controller) {
        controller.enqueue(body)
        controller.close()
      },
    })
    const request = { method: 'POST', body: chunked, duplex: 'half', headers: { 'x-exotel-signature': sign(body) } }
    expect((await fetch(`${backend.apiUrl}/webhooks/exotel/call-end`, request as RequestInit)).status).toBe(413)
    expect(await countRows()).toEqual(before)
  })

  test.each(['HEAD', 'PUT', 'DELETE', 'PATCH'])('%s', async (method) => {
    const response = await fetch(`${backend.apiUrl}/webhooks/exotel/call-end`, { method })
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe('GET, POST')
  })
})

test.each([
  ['too long', { body: Buffer.alloc(1024 ** 2 + 1, 'a'), headers: {} }, 413],
  ['compressed', { body: Buffer.from('{}'), headers: { 'content-encoding': 'gzip' } }, 415],
] as [string, { body: Buffer; headers: Record<string, string> }, number][])(
  'When a body is %s, then the rejection is logged with its reason and address',
  async (_how, { body, headers }, status) => {
    const requestId = `refused-${newCallSid()}`
    expect((await postRaw(backend.apiUrl, 'call-end', body, { ...headers, 'x-request-id': requestId })).status).toBe(status)
    const line = backend
      .logs('api')
      .split('\n')
      .find((each) => each.includes(requestId))
    expect(JSON.parse(line!)).toMatchObject({ msg: 'Webhook rejected', reason: expect.any(String), address: expect.any(String) })
  },
)

test('When a client disconnects in the middle of its body, then no row is written and no error is logged', async () => {
  const before = await countRows()
  const port = Number(new URL(backend.apiUrl).port)
  await Promise.all(
    Array.from(
      { length: 50 },
      () =>
        new Promise<void>((resolve) => {
          const socket = connect(port, '127.0.0.1', () => {
            socket.write(
              `POST /webhooks/exotel/call-end HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\nX-Exotel-Signature: ${'0'.repeat(40)}\r\n\r\n${'a'.repeat(200)}`,
              () => {
                socket.resetAndDestroy()
                resolve()
              },
            )
          })
        }),
    ),
  )
  expect((await postWebhook(backend.apiUrl, 'call-start', { CallSid: newCallSid() })).status).toBe(200)
  expect(await countRows()).toEqual({ events: String(Number(before.events) + 1), calls: String(Number(before.calls) + 1) })
  expect(backend.logs('api')).not.toMatch(/"level":50/)
})

describe('When an authenticated delivery cannot be read, then 400 says why, and only the raw event is stored:', () => {
  test.each([
    ['no CallSid', '{"Status":"completed"}', 'invalid_call_sid', /CallSid is missing/],
    ['a CallSid of 65', `{"CallSid":"${'a'.repeat(65)}"}`, 'invalid_call_sid', /CallSid must be/],
    ['a path for a CallSid', '{"CallSid":"../../etc/x"}', 'invalid_call_sid', /CallSid must be/],
    ['a NUL in it', '{"CallSid":"a\\u0000b"}', 'invalid_call_sid', /CallSid must be/],
    ['broken JSON', '{"CallSid":', 'unreadable_body', /not valid JSON/],
    ['nothing', '', 'unreadable_body', /empty/],
  ])('%s', async (_how, body, code, detail) => {
    const before = await countRows()
    const response = await postRaw(backend.apiUrl, 'call-end', body, { 'content-type': 'application/json' })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code, detail: expect.stringMatching(detail) })
    expect((await countRows()).calls).toBe(before.calls)
    const { rows } = await backend.database.query('SELECT * FROM webhook_events ORDER BY id DESC LIMIT 1')
    expect(rows[0]).toMatchObject({
      raw_body: Buffer.from(body),
      call_sid: null,
      problem: expect.stringMatching(detail),
      relay_state: 'none',
    })
  })
})

test('When the request target is an absolute URL, then the request is rejected as usual', async () => {
  const { hostname, port } = new URL(backend.apiUrl)
  const socket = connect(Number(port), hostname)
  socket.write('POST http://x:99999/webhooks/exotel/call-end HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
  const answer = await new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString())))
  socket.destroy()
  expect(answer).toMatch(/^HTTP\/1.1 4\d\d /)
})
