// Login, with tokens and with cookies.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { hash } from '@node-rs/argon2'
import { pino } from 'pino'
import { addSigningKey, createSigningKeys, forgetOtherSigningKeys, hmac } from '../../accounts/signing-keys.ts'
import { connectDatabase, type Database } from '../../platform/database.ts'
import { bearer, get, loggedIn, newPerson, post, registered, type BearerTokens } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'

let backend: Backend
let api: string
let database: Database
beforeAll(async () => {
  backend = await startBackend({ start: ['api'] })
  api = backend.apiUrl
  database = connectDatabase({ url: backend.databaseUrl, poolSize: 1, logger: pino({ level: 'silent' }) })
})
afterAll(async () => {
  await database?.$disconnect()
  await backend?.stop()
})

const query = async <Row = Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<Row[]> =>
  (await backend.database.query(sql, values)).rows as Row[]
const me = (accessToken: string) => get(api, '/api/auth/me', bearer(accessToken))
const refresh = (refreshToken: string) => post<BearerTokens>(api, '/api/auth/refresh', { refreshToken })

describe('Login', () => {
  test('When the address or password is wrong, or the account is not active, then the response is the same', async () => {
    const [person, inactive] = [await registered(backend), await registered(backend)]
    await query('UPDATE users SET active = false WHERE email = $1', [inactive.email])
    const attempts = [
      { email: person.email, password: 'not the passphrase' },
      { email: newPerson().email, password: person.password },
      { email: inactive.email, password: inactive.password },
      { email: person.email, password: '' },
    ]
    const answers = await Promise.all(attempts.map((body) => post(api, '/api/auth/login', body)))
    for (const { status, body } of answers) {
      expect(status).toBe(401)
      expect({ ...body, requestId: '' }).toEqual({ ...answers[0]!.body, requestId: '' })
    }
  })

  test('When a hash was created with other parameters, then login rehashes the password', async () => {
    const person = await registered(backend)
    const old = await hash(person.password, { memoryCost: 8192, timeCost: 1, parallelism: 1 })
    await query('UPDATE users SET password_hash = $1 WHERE email = $2', [old, person.email])
    await loggedIn(api, person)
    const [row] = await query<{ password_hash: string }>('SELECT password_hash FROM users WHERE email = $1', [person.email])
    expect(row!.password_hash).toContain('m=19456,t=2,p=1')
    await loggedIn(api, person)
  })

  test('When the account is deleted or deactivated, then its tokens are rejected', async () => {
    const [one, other] = [await registered(backend), await registered(backend)]
    const tokens = [await loggedIn(api, one), await loggedIn(api, other)]
    await query('DELETE FROM users WHERE email = $1', [one.email])
    await query('UPDATE users SET active = false WHERE email = $1', [other.email])
    for (const { accessToken, refreshToken } of tokens) {
      expect((await me(accessToken)).status).toBe(401)
      expect((await refresh(refreshToken)).status).toBe(401)
    }
  })

  test('When a request has no token or an invalid one, then 401 says which authentication is required', async () => {
    const none = await get(api, '/api/auth/me')
    expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    for (const authorization of ['Bearer', 'Bearer x', 'Bearer a.b.c', `Bearer ${'x'.repeat(7000)}`, 'Basic YTpi']) {
      const answer = await get(api, '/api/auth/me', { authorization })
      expect([answer.status, answer.body.code]).toEqual([401, 'not_authenticated'])
    }
  })
})

describe('Browser sessions', () => {
  async function browser() {
    const person = await registered(backend)
    const { status, body, headers } = await post<{ csrfToken: string }>(api, '/api/auth/login', {
      email: person.email,
      password: person.password,
      cookies: true,
    })
    const set = headers.getSetCookie()
    return { person, status, body, set, cookie: set.map((each) => each.split(';')[0]).join('; ') }
  }

  test('When a person logs in with cookies, then scripts cannot read the tokens', async () => {
    const { status, body, set } = await browser()
    expect(status).toBe(200)
    expect(body).toEqual({ tokenType: 'Cookie', csrfToken: expect.any(String), expiresIn: 900 })
    expect(set).toHaveLength(3)
    for (const cookie of set) expect(cookie).toMatch(/; Secure/)
    for (const cookie of set) expect(cookie).toMatch(/; SameSite=Strict/)
    expect(set.filter((cookie) => cookie.includes('HttpOnly')).map((cookie) => cookie.split('=')[0])).toEqual([
      '__Host-access',
      '__Secure-refresh',
    ])
  })

  test('When a request with cookies changes something, then it needs the CSRF token of this session', async () => {
    const [one, other] = [await browser(), await browser()]
    expect((await get(api, '/api/auth/me', { cookie: one.cookie })).status).toBe(200)
    const signatureOf = (token: string): string => token.slice(0, token.lastIndexOf('.'))
    const mixed = `${signatureOf(one.body.csrfToken)}.${other.body.csrfToken.split('.').at(-1)}`
    for (const token of [undefined, '', 'x', '.', '..', other.body.csrfToken, `${one.body.csrfToken}x`, mixed]) {
      const headers = { cookie: one.cookie, ...(token !== undefined && { 'x-csrf-token': token }) }
      for (const path of ['logout-all', 'refresh', 'logout'])
        expect(await post(api, `/api/auth/${path}`, '{}', headers)).toMatchObject({ status: 403, body: { code: 'csrf_token_invalid' } })
    }
    const headers = { cookie: one.cookie, 'x-csrf-token': one.body.csrfToken }
    const refreshed = await post(api, '/api/auth/refresh', {}, headers)
    expect(refreshed).toMatchObject({ status: 200, body: { tokenType: 'Cookie' } })
    const renewed = refreshed.headers
      .getSetCookie()
      .map((each) => each.split(';')[0])
      .join('; ')
    const left = await post(api, '/api/auth/logout', {}, { cookie: renewed, 'x-csrf-token': one.body.csrfToken })
    expect(left.status).toBe(204)
    expect(left.headers.getSetCookie().every((cookie) => cookie.includes('Expires=Thu, 01 Jan 1970'))).toBe(true)
    expect((await get(api, '/api/auth/me', { cookie: renewed })).status).toBe(401)
  })

  test('When a request has cookies and a Bearer header without a token, then the cookies are ignored', async () => {
    const { cookie } = await browser()
    expect((await post(api, '/api/auth/logout-all', '', { cookie, authorization: 'Bearer' })).status).toBe(401)
    expect((await get(api, '/api/auth/me', { cookie })).status).toBe(200)
  })

  test('When the signing keys are replaced, then refresh and logout with cookies still work', async () => {
    const { cookie, body } = await browser()
    await forgetOtherSigningKeys(database, await addSigningKey(database))
    await eventually('the API to know the new key only', async () => (await get(api, '/api/auth/me', { cookie })).status === 401, 30_000)
    const headers = { cookie, 'x-csrf-token': body.csrfToken }
    const refreshed = await post(api, '/api/auth/refresh', {}, headers)
    expect(refreshed).toMatchObject({ status: 200, body: { tokenType: 'Cookie', csrfToken: expect.any(String) } })
    expect((await post(api, '/api/auth/logout', {}, headers)).status).toBe(204)
  })

  test('When a version before migration 0010 reads a CSRF token, then it finds the signature that it expects', async () => {
    const { body, cookie } = await browser()
    const refreshed = await post<{ csrfToken: string }>(api, '/api/auth/refresh', {}, { cookie, 'x-csrf-token': body.csrfToken })
    const [session] = await query<{ id: string }>('SELECT id FROM sessions ORDER BY created_at DESC LIMIT 1')
    for (const token of [body.csrfToken, refreshed.body.csrfToken]) {
      // Reads the token as that version does.
      const [kid = '', given = ''] = token.split('.')
      expect(given).toBe(hmac((await createSigningKeys(database).find(kid))!.csrfKey, session!.id))
    }
  })

  test('When a page has a CSRF token of a version before migration 0010, then the token is accepted and replaced', async () => {
    const { cookie, body } = await browser()
    const [{ kid, csrfKey }] = await createSigningKeys(database).all()
    const [session] = await query<{ id: string }>('SELECT id FROM sessions ORDER BY created_at DESC LIMIT 1')
    const headers = { cookie, 'x-csrf-token': `${kid}.${hmac(csrfKey, session!.id)}` }
    expect(await post(api, '/api/auth/refresh', {}, headers)).toMatchObject({ status: 200, body: { csrfToken: body.csrfToken } })
    const forged = { cookie, 'x-csrf-token': `${kid}.${hmac(csrfKey, kid)}` }
    expect((await post(api, '/api/auth/refresh', {}, forged)).status).toBe(403)
  })

  test('When the password is changed with cookies, then the cookies are replaced, and the response body contains no tokens', async () => {
    const { cookie, body, person } = await browser()
    const headers = { cookie, 'x-csrf-token': body.csrfToken }
    const change = { currentPassword: person.password, newPassword: 'quite another passphrase' }
    const answer = await post(api, '/api/auth/change-password', change, headers)
    expect(answer).toMatchObject({ status: 200, body: { tokenType: 'Cookie', csrfToken: body.csrfToken } })
    expect((await post(api, '/api/auth/refresh', {}, headers)).status).toBe(401)
    const renewed = answer.headers
      .getSetCookie()
      .map((each) => each.split(';')[0])
      .join('; ')
    expect((await post(api, '/api/auth/refresh', {}, { ...headers, cookie: renewed })).status).toBe(200)
  })
})
