import { createHmac } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { checkHeaders, verifyWebhook, type WebhookAuthSettings, type WebhookCredentials } from '../../exotel/webhook-auth.ts'

const SECRET = 'the-secret'
const NOW = new Date('2026-11-25T10:00:00Z')
const BODY = Buffer.from('{"CallSid":"123","CallStatus":"completed"}')

function digest(body = BODY, secret = SECRET) {
  return createHmac('sha1', secret).update(body).digest()
}

function judge(credentials: Partial<WebhookCredentials>, settings: Partial<WebhookAuthSettings> = {}) {
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
    expect(judge({ signatures: [signature] })).toEqual({ proven: true, by: 'signature', staleTimestamp: false })
  })

  test('then the old and the new secret are both accepted while they rotate', () => {
    const settings = { signatureSecrets: ['new', 'old'] }
    expect(judge({ signatures: [digest(BODY, 'old').toString('hex')] }, settings)).toMatchObject({ proven: true })
    expect(judge({ signatures: [digest(BODY, 'new').toString('hex')] }, settings)).toMatchObject({ proven: true })
    expect(judge({ signatures: [digest(BODY, 'older').toString('hex')] }, settings)).toMatchObject({ proven: false })
  })

  test('then it is accepted over bytes that are no text', () => {
    const rawBody = Buffer.from([0xff, 0x00, 0xfe])
    expect(judge({ rawBody, signatures: [digest(rawBody).toString('hex')] })).toMatchObject({ proven: true })
    expect(judge({ rawBody: Buffer.from([0xfe, 0x00, 0xfe]), signatures: [digest(rawBody).toString('hex')] })).toMatchObject({
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
    ['no hex at all', ['z'.repeat(40)]],
    ['a multi-byte character', [`${right.slice(1)}é`]],
    ['one bit off', [`${right.slice(0, -1)}${(Number.parseInt(right.slice(-1), 16) ^ 1).toString(16)}`]],
    ['a bare prefix', ['sha1=']],
    ['another scheme', [`sha256=${right}`]],
    ['broken base64', [`${digest().toString('base64').slice(0, 26)}!!`]],
    ['8 kB long', ['a'.repeat(8192)]],
    ['twice, one of them wrong', ['0'.repeat(40), right]],
  ])('then it is refused: %s', (_how, signatures) => {
    expect(judge({ signatures })).toEqual({ proven: false, reason: 'Invalid webhook signature' })
  })

  test('then a right password beside it does not help', () => {
    const authorization = `Basic ${Buffer.from('user:pass').toString('base64')}`
    expect(judge({ signatures: ['0'.repeat(40)], authorization }, { basic: 'user:pass' })).toMatchObject({ proven: false })
  })

  test('then it is passed over where no secret is configured', () => {
    expect(judge({ signatures: ['0'.repeat(40)], token: 'tok' }, { signatureSecrets: [], token: 'tok' })).toMatchObject({
      proven: true,
      by: 'token',
    })
  })
})

describe('When there is no signature', () => {
  test('then the refusal says so', () => {
    expect(judge({})).toEqual({ proven: false, reason: 'Missing webhook signature' })
  })

  test('then the right password or token proves the origin, a wrong one does not', () => {
    const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
    expect(judge({ authorization: basic('user:pass') }, { basic: 'user:pass' })).toMatchObject({ proven: true, by: 'basic' })
    expect(judge({ authorization: basic('user:Pass') }, { basic: 'user:pass' })).toEqual({
      proven: false,
      reason: 'Invalid webhook credentials',
    })
    expect(judge({ token: 'tok' }, { token: 'tok' })).toMatchObject({ proven: true, by: 'token' })
    expect(judge({ token: 'to' }, { token: 'tok' })).toEqual({ proven: false, reason: 'Invalid webhook token' })
  })

  test('then nothing is proven where nothing is configured', () => {
    expect(judge({}, { signatureSecrets: [] })).toEqual({ proven: false, reason: 'Missing webhook credentials' })
  })
})

test('When a GET brings a signature, then it proves nothing', () => {
  const signatures = [digest(Buffer.alloc(0)).toString('hex')]
  expect(judge({ method: 'GET', rawBody: Buffer.alloc(0), signatures })).toMatchObject({ proven: false })
  expect(judge({ method: 'GET', rawBody: Buffer.alloc(0), signatures: ['0'.repeat(40)], token: 'tok' }, { token: 'tok' })).toMatchObject({
    proven: true,
  })
})

describe('When a timestamp comes along', () => {
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
  ])('then %s is judged', (_how, timestamp, proven) => {
    expect(judge({ signatures, timestamp }).proven).toBe(proven)
  })

  test('then an old one is only remarked where the setting says so', () => {
    expect(judge({ signatures, timestamp: at(-9999) }, { timestamp: 'log' })).toEqual({
      proven: true,
      by: 'signature',
      staleTimestamp: true,
    })
  })
})

describe('When only the headers are there', () => {
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

  test('then a signature of the right form is judged with the body', () => {
    expect(headers({ signatures: ['0'.repeat(40)] })).toBe('needs body')
    expect(headers({ signatures: [digest().toString('base64')] })).toBe('needs body')
  })

  test.each([
    ['nothing', {}, {}, 'Missing webhook signature'],
    ['nothing, and no secret is configured', {}, { signatureSecrets: [] }, 'Missing webhook credentials'],
    ['a signature that is none', { signatures: ['wrong'] }, {}, 'Invalid webhook signature'],
    ['two signatures, one of which is none', { signatures: ['0'.repeat(40), ''] }, {}, 'Invalid webhook signature'],
    [
      'a signature where no secret is configured',
      { signatures: ['0'.repeat(40)] },
      { signatureSecrets: [] },
      'Missing webhook credentials',
    ],
    ['a wrong password', { authorization: basic('user:no') }, { basic: 'user:pass' }, 'Invalid webhook credentials'],
    ['a wrong token', { token: 'no' }, { token: 'tok' }, 'Invalid webhook token'],
    [
      'a signature with an old timestamp',
      { signatures: ['0'.repeat(40)], timestamp: '1' },
      {},
      'Webhook timestamp differs from the current time by more than 5 minutes',
    ],
  ] as [string, Partial<WebhookCredentials>, Partial<WebhookAuthSettings>, string][])(
    'then %s is refused',
    (_what, credentials, settings, reason) => {
      expect(headers(credentials, settings)).toEqual({ proven: false, reason })
    },
  )

  test('then a right password or token is proven', () => {
    expect(headers({ authorization: basic('user:pass') }, { basic: 'user:pass' })).toMatchObject({ proven: true, by: 'basic' })
    expect(headers({ token: 'tok' }, { token: 'tok' })).toMatchObject({ proven: true, by: 'token' })
  })
})
