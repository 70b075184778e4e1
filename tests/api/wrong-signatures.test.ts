// The API reads only small bodies from an address that sent many wrong signatures, until it sends a right one.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { rawClient } from '../support/raw-client.ts'
import { newCallSid } from '../support/servers.ts'
import { postRaw, postWebhook } from '../support/webhook.ts'

let backend: Backend
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { RATE_LIMIT_GENERAL: '3', TRUST_PROXY: '1' } })
})
afterAll(() => backend?.stop())

const WRONG_SIGNATURE = '0'.repeat(40)
const LARGE = { CustomField: 'a'.repeat(200_000) }
let hosts = 0
const newAddress = () => ({ 'x-forwarded-for': `198.51.100.${(hosts += 1)}` })
const postLarge = (headers: Record<string, string>) =>
  postWebhook(backend.apiUrl, 'call-start', { CallSid: newCallSid(), ...LARGE }, headers)
const postSmall = (headers: Record<string, string>) => postWebhook(backend.apiUrl, 'call-start', { CallSid: newCallSid() }, headers)

/** An address whose last 10 webhooks had a wrong signature. */
async function suspectAddress() {
  const headers = newAddress()
  for (let i = 0; i < 10; i += 1)
    await (await postRaw(backend.apiUrl, 'call-end', '{}', { ...headers, 'x-exotel-signature': WRONG_SIGNATURE })).text()
  return headers
}

/** The response to a webhook with a wrong signature before its whole body was sent. */
async function responseBeforeBody(address: Record<string, string>, framing: string, body = ''): Promise<string> {
  const lines = ['POST /webhooks/exotel/call-end HTTP/1.1', 'Host: x', `X-Exotel-Signature: ${WRONG_SIGNATURE}`, framing]
  lines.push(`X-Forwarded-For: ${address['x-forwarded-for']}`)
  const { received, socket, closed } = await rawClient(backend.apiUrl, `${lines.join('\r\n')}\r\n\r\n${body}`)
  await eventually('an answer', async () => received().includes('"code"'), 10_000).finally(() => socket.end())
  return closed
}

test.each([
  ['with Content-Length', 'Content-Length: 900000', ''],
  ['in chunks', 'Transfer-Encoding: chunked', `4000\r\n${' '.repeat(16_384)}\r\n4000\r\n${' '.repeat(16_384)}\r\n`],
])('When an address sent many wrong signatures, then its large body, %s, is rejected before it is read', async (_how, framing, body) => {
  const answer = await responseBeforeBody(await suspectAddress(), framing, body)
  expect(answer).toMatch(/^HTTP\/1\.1 503 [^]*Retry-After: \d+[^]*"code":"busy"/i)
  expect(answer).toMatch(/\r\nConnection: close\r\n/i)
})

test('When an address sent many wrong signatures, then a right one is accepted and resets the count', async () => {
  const headers = await suspectAddress()
  expect((await postSmall(headers)).status).toBe(200)
  expect((await postLarge(headers)).status).toBe(200)
})

test('When an address sent many wrong signatures, then large webhooks of other addresses are accepted', async () => {
  await suspectAddress()
  expect((await postLarge(newAddress())).status).toBe(200)
})

test('When an address sent a few wrong signatures, then its large webhooks are accepted', async () => {
  const headers = newAddress()
  for (let i = 0; i < 9; i += 1) await postRaw(backend.apiUrl, 'call-end', '{}', { ...headers, 'x-exotel-signature': WRONG_SIGNATURE })
  expect((await postLarge(headers)).status).toBe(200)
})

test('When connections of an address break in the middle of a body, then they do not count as wrong signatures', async () => {
  const headers = newAddress()
  for (let i = 0; i < 10; i += 1) {
    const head = `POST /webhooks/exotel/call-end HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ${headers['x-forwarded-for']}`
    const sent = `${head}\r\nX-Exotel-Signature: ${WRONG_SIGNATURE}\r\nContent-Length: 900000\r\nExpect: 100-continue\r\n\r\n`
    const { socket, received } = await rawClient(backend.apiUrl, sent)
    await eventually('100 Continue', async () => received().includes('100 Continue'))
    socket.destroy()
  }
  const log = () => backend.logs('api')
  await eventually('all of them to be rejected', async () => log().split(`"address":"${headers['x-forwarded-for']}"`).length > 3)
  expect((await postLarge(headers)).status).toBe(200)
})
