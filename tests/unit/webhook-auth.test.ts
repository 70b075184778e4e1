import { createHmac } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { checkHeaders, verifyWebhook, type WebhookAuthSettings, type WebhookCredentials } from '../../exotel/verify-webhook.ts'

const SECRET = 'the-secret'
const NOW = new Date('2026-11-25T10:00:00Z')
const BODY = Buffer.from('{"CallSid":"123","CallStatus":"completed"}')

function digest(body = BODY, secret = SECRET) {
  return createHmac('sha1', secret).update(body).digest()
}

function verify(credentials: Partial<WebhookCredentials>, settings: Partial<WebhookAuthSettings> = {}) {
  return verifyWebhook(
    { method: 'POST', rawBody: BODY, signatures: [], authorization: undefined, token: undefined, timestamp: undefined, ...credentials },
    { signatureSecrets: [SECRET], timestamp: 'enforce', ...settings },
    NOW,
  )
}

describe('When a signature is right', () => {
  test.each([
    ['in hex', digest().toString('hex')],
    ['in upper case', digest().toString('hex').toUpperCase()],
    ['in base64', digest().toString('base64')],
    ['with sha1= before hex', `sha1=${digest().toString('hex')}`],
    ['with sha1= before base64', `sha1=${digest().toString('base64')}`],
  ])('then %s it is accepted', (_how, signature) => {
    expect(verify({ signatures: [signature] })).toEqual({ proven: true, by: 'signature', staleTimestamp: false })
  })

  test('then the old and the new secret are both accepted during a rotation', () => {
    const settings = { signatureSecrets: ['new', 'old'] }
    expect(verify({ signatures: [digest(BODY, 'old').toString('hex')] }, settings)).toMatchObject({ proven: true })
    expect(verify({ signatures: [digest(BODY, 'new').toString('hex')] }, settings)).toMatchObject({ proven: true })
    expect(verify({ signatures: [digest(BODY, 'older').toString('hex')] }, settings)).toMatchObject({ proven: false })
  })

  test('then it is accepted for bytes that are not text', () => {
    const rawBody = Buffer.from([0xff, 0x00, 0xfe])
    expect(verify({ rawBody, signatures: [digest(rawBody).toString('hex')] })).toMatchObject({ proven: true })
    expect(verify({ rawBody: Buffer.from([0xfe, 0x00, 0xfe]), signatures: [digest(rawBody).toString('hex')] })).toMatchObject({
      proven: false,
    })
  })
})

describe('When a signature is wrong', () => {
  const right = digest().toString('hex')
  test.each([
    ['empty', ['']],
    ['three characters', ['abc']],
    ['one character short', [right.slice(1)]],
    ['one character long', [`${right}a`]],
    ['40 characters that are not hex', ['z'.repeat(40)]],
    ['a multi-byte character', [`${right.slice(1)}é`]],
    ['one bit off', [`${right.slice(0, -1)}${(Number.parseInt(right.slice(-1), 16) ^ 1).toString(16)}`]],
    ['a bare prefix', ['sha1=']],
    ['another scheme', [`sha256=${right}`]],
    ['broken base64', [`${digest().toString('base64').slice(0, 26)}!!`]],
    ['8 kB long', ['a'.repeat(8192)]],
    ['twice, one of them wrong', ['0'.repeat(40), right]],
  ])('then it is rejected: %s', (_how, signatures) => {
    expect(verify({ signatures })).toEqual({ proven: false, reason: 'invalid_signature' })
  })

  test('then it is rejected even with a right password', () => {
    const authorization = `Basic ${Buffer.from('user:pass').toString('base64')}`
    expect(verify({ signatures: ['0'.repeat(40)], authorization }, { basic: 'user:pass' })).toMatchObject({ proven: false })
  })

  test('then it is ignored if no secret is configured', () => {
    expect(verify({ signatures: ['0'.repeat(40)], token: 'tok' }, { signatureSecrets: [], token: 'tok' })).toMatchObject({
      proven: true,
      by: 'token',
    })
  })
})

describe('When there is no signature', () => {
  test('then the reason is missing_signature', () => {
    expect(verify({})).toEqual({ proven: false, reason: 'missing_signature' })
  })

  test('then a right password or token is accepted, and a wrong one is rejected', () => {
    const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
    expect(verify({ authorization: basic('user:pass') }, { basic: 'user:pass' })).toMatchObject({ proven: true, by: 'basic' })
    expect(verify({ authorization: basic('user:Pass') }, { basic: 'user:pass' })).toEqual({
      proven: false,
      reason: 'invalid_credentials',
    })
    expect(verify({ token: 'tok' }, { token: 'tok' })).toMatchObject({ proven: true, by: 'token' })
    expect(verify({ token: 'to' }, { token: 'tok' })).toEqual({ proven: false, reason: 'invalid_token' })
  })

  test('then it is rejected if no authentication is configured', () => {
    expect(verify({}, { signatureSecrets: [] })).toEqual({ proven: false, reason: 'missing_credentials' })
  })
})

test('When a GET has a signature, then the signature is ignored', () => {
  const signatures = [digest(Buffer.alloc(0)).toString('hex')]
  expect(verify({ method: 'GET', rawBody: Buffer.alloc(0), signatures })).toMatchObject({ proven: false })
  expect(verify({ method: 'GET', rawBody: Buffer.alloc(0), signatures: ['0'.repeat(40)], token: 'tok' }, { token: 'tok' })).toMatchObject({
    proven: true,
  })
})

describe('When there is a timestamp', () => {
  const signatures = [digest().toString('hex')]
  const at = (seconds: number) => String(NOW.getTime() / 1000 + seconds)

  test.each([
    ['now', at(0), true],
    ['5 min ago', at(-300), true],
    ['5 min ahead', at(300), true],
    ['5 min 1 s ago', at(-301), false],
    ['5 min 1 s ahead', at(301), false],
    ['no number', 'yesterday', false],
    ['negative', '-5', false],
    ['empty', '', false],
  ])('then %s is accepted or rejected', (_how, timestamp, proven) => {
    expect(verify({ signatures, timestamp }).proven).toBe(proven)
  })

  test('then an old one is accepted and reported if EXOTEL_WEBHOOK_TIMESTAMP is "log"', () => {
    expect(verify({ signatures, timestamp: at(-9999) }, { timestamp: 'log' })).toEqual({
      proven: true,
      by: 'signature',
      staleTimestamp: true,
    })
  })
})

describe('When only the headers have arrived', () => {
  const headers = (credentials: Partial<WebhookCredentials>, settings: Partial<WebhookAuthSettings> = {}) => {
    const { rawBody: _, ...rest } = {
      method: 'POST',
      rawBody: BODY,
      signatures: [],
      authorization: undefined,
      token: undefined,
      timestamp: undefined,
      ...credentials,
    }
    return checkHeaders(rest, { signatureSecrets: [SECRET], timestamp: 'enforce', ...settings }, NOW)
  }
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

  test('then a well-formed signature needs the body', () => {
    expect(headers({ signatures: ['0'.repeat(40)] })).toBe('needs body')
    expect(headers({ signatures: [digest().toString('base64')] })).toBe('needs body')
  })

  test.each([
    ['nothing', {}, {}, 'missing_signature'],
    ['nothing, and no secret is configured', {}, { signatureSecrets: [] }, 'missing_credentials'],
    ['a malformed signature', { signatures: ['wrong'] }, {}, 'invalid_signature'],
    ['two signatures, one of them malformed', { signatures: ['0'.repeat(40), ''] }, {}, 'invalid_signature'],
    ['a signature, and no secret is configured', { signatures: ['0'.repeat(40)] }, { signatureSecrets: [] }, 'missing_credentials'],
    ['a wrong password', { authorization: basic('user:no') }, { basic: 'user:pass' }, 'invalid_credentials'],
    ['a wrong token', { token: 'no' }, { token: 'tok' }, 'invalid_token'],
    ['a signature with an old timestamp', { signatures: ['0'.repeat(40)], timestamp: '1' }, {}, 'stale_timestamp'],
  ] as [string, Partial<WebhookCredentials>, Partial<WebhookAuthSettings>, string][])(
    'then %s is rejected',
    (_what, credentials, settings, reason) => {
      expect(headers(credentials, settings)).toEqual({ proven: false, reason })
    },
  )

  test('then a right password or token is accepted', () => {
    expect(headers({ authorization: basic('user:pass') }, { basic: 'user:pass' })).toMatchObject({ proven: true, by: 'basic' })
    expect(headers({ token: 'tok' }, { token: 'tok' })).toMatchObject({ proven: true, by: 'token' })
  })
})
