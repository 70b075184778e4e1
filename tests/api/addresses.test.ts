import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startBackend, type Backend } from '../support/backend.ts'
import { newCallSid } from '../support/servers.ts'
import { sign } from '../support/webhook.ts'

let backend: Backend
beforeAll(async () => {
  backend = await startBackend({
    start: ['api'],
    env: { EXOTEL_WEBHOOK_ADDRESSES: '203.0.113.0/24, 2001:db8::/32, 198.51.100.7', TRUST_PROXY: '1' },
  })
})
afterAll(() => backend?.stop())

test.each([
  ['203.0.113.9', 200],
  ['::ffff:203.0.113.9', 200],
  ['2001:db8::5', 200],
  ['198.51.100.7', 200],
  ['198.51.100.8', 403],
  ['2001:db9::1', 403],
  ['203.0.113.9, 198.51.100.8', 403], // the first address comes from the client and is ignored
  ['nonsense', 403],
  [undefined, 403],
])('When a signed webhook comes from %s behind the proxy, then the response is %s', async (forwarded, status) => {
  const callSid = newCallSid()
  const body = JSON.stringify({ CallSid: callSid, Status: 'busy' })
  const headers = { 'x-exotel-signature': sign(body), ...(forwarded !== undefined && { 'x-forwarded-for': forwarded }) }
  const response = await fetch(`${backend.apiUrl}/webhooks/exotel/call-end`, { method: 'POST', body, headers })
  expect(response.status).toBe(status)
  expect((await backend.callRow(callSid)) !== undefined).toBe(status === 200)
})

test('When an address is rejected, then the log contains the reason and the address', () => {
  const refusals = backend
    .logs('api')
    .split('\n')
    .filter((line) => line.includes('Webhook rejected'))
  expect(refusals.map((line) => JSON.parse(line) as object)).toContainEqual(
    expect.objectContaining({ reason: 'address', address: '198.51.100.8' }),
  )
})
