import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { hash } from '@node-rs/argon2'
import { pino } from 'pino'
import { addSigningKey, createSigningKeys, forgetOtherSigningKeys, hmac } from '../../accounts/signing-keys.ts'
import { connectDatabase, type Database } from '../../platform/database.ts'
import {
  bearer,
  get,
  loggedIn,
  mailsTo,
  newPerson,
  post,
  registered,
  subjectsTo,
  tokenIn,
  verified,
  type BearerTokens,
  type Person,
} from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'

let backend: Backend
let api: string
let database: Database
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { PUBLIC_URL: 'https://calls.example.com' } })
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

describe('Registration', () => {
  test('When a person registers and verifies the address, then login works, and the account has the role "user"', async () => {
    const person = newPerson()
    const answer = await post(api, '/api/auth/register', person)
    expect(answer).toMatchObject({ status: 202, body: { status: 'accepted' } })
    await verified(backend, person)
    const tokens = await loggedIn(api, person)
    expect(tokens).toEqual({ accessToken: expect.any(String), refreshToken: expect.any(String), tokenType: 'Bearer', expiresIn: 900 })
    expect(await me(tokens.accessToken)).toMatchObject({ status: 200, body: { email: person.email, name: 'Somebody', role: 'user' } })
    const [row] = await query<{ password_hash: string }>('SELECT password_hash FROM users WHERE email = $1', [person.email])
    expect(row!.password_hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  })

  test('When the address has an account, then the response is the same, nothing changes, and the owner gets a mail', async () => {
    const person = await registered(backend)
    const first = await post(api, '/api/auth/register', newPerson())
    const again = await post(api, '/api/auth/register', {
      ...person,
      email: person.email.toUpperCase(),
      password: 'another long passphrase',
    })
    expect([again.status, again.body]).toEqual([first.status, first.body])
    await loggedIn(api, person)
    expect(await query('SELECT id FROM users WHERE email = $1', [person.email])).toHaveLength(1)
    await mailsTo(backend.mailDirectory, person.email, 'You already have an account')
  })

  test('When twenty requests register one address at the same time, then there is one account', async () => {
    const person = newPerson()
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(api, '/api/auth/register', person)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]))
    expect(await query('SELECT id FROM users WHERE email = $1', [person.email])).toHaveLength(1)
  })

  test.each([
    ['a role', { role: 'admin' }, 'role'],
    ['a short password', { password: 'eleven char' }, 'password'],
    ['a password of 129 characters', { password: 'x'.repeat(129) }, 'password'],
    ['a password that is far too long', { password: 'a\u0301\u0328'.repeat(400) }, 'password'],
    ['a name that is far too long', { name: 'n'.repeat(60_000) }, 'name'],
    ['a common password', { password: 'QWERTY123456' }, 'password'],
    ['half a surrogate pair in the password', { password: `\ud800${'x'.repeat(12)}` }, 'password'],
    ['a number for a string', { password: 123456789012 }, 'password'],
    ['an array for a string', { email: ['a@example.com'] }, 'email'],
    ['an object for a string', { email: { $ne: '' } }, 'email'],
    ['null', { name: null }, 'name'],
    ['a number for the invitation', { invitation: 1 }, 'invitation'],
    ['an empty name', { name: '' }, 'name'],
    ['a NUL byte in the name', { name: 'a\0b' }, 'name'],
    ['a line break in the name', { name: 'a\r\nBcc: x@example.com' }, 'name'],
    ['a header in the address', { email: 'a@example.com\r\nBcc: x@example.com' }, 'email'],
    ['a Cyrillic letter in the address', { email: 'pаyment@example.com' }, 'email'],
    ['a Kelvin sign in the address', { email: '\u212aumar@example.com' }, 'email'],
    ['no address', { email: undefined }, 'email'],
    ['an address that is too long', { email: `${'a'.repeat(60)}@${`${'b'.repeat(60)}.`.repeat(4)}com` }, 'email'],
  ])('When the request contains %s, then 422 names the field, and no account is created', async (_what, wrong, field) => {
    const person = { ...newPerson(), ...wrong }
    const before = await query('SELECT count(*) FROM users')
    const { status, body, headers } = await post(api, '/api/auth/register', person)
    expect(status).toBe(422)
    expect(headers.get('content-type')).toMatch('application/problem+json')
    expect(body).toMatchObject({ code: 'invalid_fields', errors: [{ field, message: expect.any(String) }] })
    expect(await query('SELECT count(*) FROM users')).toEqual(before)
  })

  test('When the password contains Unicode characters, then login works with every normalization form', async () => {
    const person = { ...newPerson(), password: 'क्षमा करें é 🙏🏽 passphrase' }
    expect((await post(api, '/api/auth/register', { ...person, password: person.password.normalize('NFD') })).status).toBe(202)
    await verified(backend, person)
    await loggedIn(api, person)
  })
})

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

/** Sets the time at which this token was exchanged to `seconds` ago. */
const rotatedBefore = (token: string, seconds: number) =>
  query(
    `UPDATE refresh_token_blacklist SET created_at = now() - make_interval(secs => $2)
     WHERE token_hash = encode(sha256($1::text::bytea), 'hex')`,
    [token, seconds],
  )

describe('Refresh tokens', () => {
  test('When a token is used, then it is rotated, and only hashes are stored', async () => {
    const first = await loggedIn(api, await registered(backend))
    const second = await refresh(first.refreshToken)
    expect(second.status).toBe(200)
    expect(second.body.refreshToken).not.toBe(first.refreshToken)
    expect((await me(second.body.accessToken)).status).toBe(200)
    const rows = await query('SELECT s.*, b.* FROM sessions s, refresh_token_blacklist b')
    for (const token of [first.refreshToken, second.body.refreshToken]) expect(JSON.stringify(rows)).not.toContain(token)
  })

  test('When the response was lost and the client repeats the request, then it gets the same successor and stays logged in', async () => {
    const { refreshToken } = await loggedIn(api, await registered(backend))
    const [lost, again] = [await refresh(refreshToken), await refresh(refreshToken)]
    expect(again.body.refreshToken).toBe(lost.body.refreshToken)
    expect((await refresh(again.body.refreshToken)).status).toBe(200)
  })

  test('When ten requests refresh a token at the same time, then all get the same successor', async () => {
    const { refreshToken } = await loggedIn(api, await registered(backend))
    const answers = await Promise.all(Array.from({ length: 10 }, () => refresh(refreshToken)))
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200))
    expect(new Set(answers.map(({ body }) => body.refreshToken)).size).toBe(1)
  })

  test('When an old token is used after the grace period, then the request fails, and all tokens of the session are revoked', async () => {
    const stolen = await loggedIn(api, await registered(backend))
    const owner = await refresh(stolen.refreshToken)
    await rotatedBefore(stolen.refreshToken, 10 * 60)
    const thief = await refresh(stolen.refreshToken)
    expect([thief.status, thief.body]).toEqual([401, expect.objectContaining({ code: 'refresh_token_invalid' })])
    expect((await refresh(owner.body.refreshToken)).status).toBe(401)
    expect((await me(owner.body.accessToken)).status).toBe(401)
    expect(backend.logs('api')).toContain('Refresh token reused')
  })

  test('When a response was lost and the client waits for Retry-After during an outage, then it gets the same successor', async () => {
    const { refreshToken } = await loggedIn(api, await registered(backend))
    const lost = await refresh(refreshToken)
    await rotatedBefore(refreshToken, 60)
    const again = await refresh(refreshToken)
    expect([again.status, again.body.refreshToken]).toEqual([200, lost.body.refreshToken])
  })

  test('When a token is repeated within the grace period after its successor was used, then the response has the newest token', async () => {
    const { refreshToken } = await loggedIn(api, await registered(backend))
    const second = await refresh(refreshToken)
    const third = await refresh(second.body.refreshToken)
    const repeated = await refresh(refreshToken)
    expect([repeated.status, repeated.body.refreshToken]).toEqual([200, third.body.refreshToken])
    expect((await refresh(third.body.refreshToken)).status).toBe(200)
  })

  test('When a token is repeated within the grace period after a password change, then it is rejected, and the session continues', async () => {
    const person = await registered(backend)
    const { refreshToken } = await loggedIn(api, person)
    const second = await refresh(refreshToken)
    const body = { currentPassword: person.password, newPassword: 'quite another passphrase' }
    const changed = await post<BearerTokens>(api, '/api/auth/change-password', body, bearer(second.body.accessToken))
    expect((await refresh(refreshToken)).status).toBe(401)
    expect((await refresh(changed.body.refreshToken)).status).toBe(200)
  })

  test('When five clients share a token and refresh it at the same time, then all of them stay logged in', async () => {
    const { refreshToken } = await loggedIn(api, await registered(backend))
    const client = async (): Promise<number[]> => {
      const seen: number[] = []
      for (let round = 0, token = refreshToken; round < 5; round += 1) {
        const { status, body } = await refresh(token)
        seen.push(status)
        token = body.refreshToken
      }
      return seen
    }
    const all = await Promise.all(Array.from({ length: 5 }, client))
    expect(new Set(all.flat())).toEqual(new Set([200]))
  })

  test.each([
    ['its session has expired', 'UPDATE sessions SET refresh_expires_at = now(), expires_at = now() WHERE user_id = $1'],
    ['it was not used for the longest idle time', 'UPDATE sessions SET refresh_expires_at = now() WHERE user_id = $1'],
  ])('When %s, then it is rejected', async (_when, sql) => {
    const person = await registered(backend)
    const { refreshToken } = await loggedIn(api, person)
    const [user] = await query<{ id: string }>('SELECT id FROM users WHERE email = $1', [person.email])
    await query(sql, [user!.id])
    expect((await refresh(refreshToken)).status).toBe(401)
  })

  test('When a session is refreshed, then its refresh token does not outlive the session', async () => {
    const person = await registered(backend)
    const { refreshToken } = await loggedIn(api, person)
    await query(
      `UPDATE sessions SET expires_at = now() + interval '1 hour', refresh_expires_at = now() + interval '1 minute'
       WHERE user_id = (SELECT id FROM users WHERE email = $1)`,
      [person.email],
    )
    expect((await refresh(refreshToken)).status).toBe(200)
    const [session] = await query<{ same: boolean }>(
      'SELECT refresh_expires_at = expires_at AS same FROM sessions WHERE user_id = (SELECT id FROM users WHERE email = $1)',
      [person.email],
    )
    expect(session!.same).toBe(true)
  })

  test('When a session is refreshed more than 30 times in a minute, then further refreshes get 429, and the session continues', async () => {
    const person = await registered(backend)
    const [busy, other] = [await loggedIn(api, person), await loggedIn(api, person)]
    const statuses: number[] = []
    let token = busy.refreshToken
    for (let round = 0; round < 31; round += 1) {
      const { status, body } = await refresh(token)
      statuses.push(status)
      token = body.refreshToken ?? token
    }
    expect(statuses).toEqual([...Array.from({ length: 30 }, () => 200), 429])
    expect((await refresh(other.refreshToken)).status).toBe(200)
    const rows = await query(
      `SELECT FROM refresh_token_blacklist WHERE session_id = (
         SELECT id FROM sessions WHERE refresh_hash = encode(sha256($1::text::bytea), 'hex'))`,
      [token],
    )
    expect(rows).toHaveLength(30)
  })

  test.each([[{}], [{ refreshToken: 'x' }], [{ refreshToken: `${'0'.repeat(16)}.${'x'.repeat(43)}` }]])(
    'When %j is sent, then the response is 401',
    async (body) => {
      expect(await post(api, '/api/auth/refresh', body)).toMatchObject({ status: 401, body: { code: 'refresh_token_invalid' } })
    },
  )
})

describe('Logout', () => {
  test.each(['refresh token', 'access token'])(
    'When a person logs out with the %s, then that session ends, and others continue',
    async (by) => {
      const person = await registered(backend)
      const [here, there] = [await loggedIn(api, person), await loggedIn(api, person)]
      const answer = await (by === 'access token'
        ? post(api, '/api/auth/logout', '', bearer(here.accessToken))
        : post(api, '/api/auth/logout', { refreshToken: here.refreshToken }))
      expect(answer.status).toBe(204)
      expect((await me(here.accessToken)).status).toBe(401)
      expect((await refresh(here.refreshToken)).status).toBe(401)
      expect((await me(there.accessToken)).status).toBe(200)
      expect(await query(`SELECT reason FROM refresh_token_blacklist WHERE reason = 'logged_out'`)).not.toHaveLength(0)
    },
  )

  test('When a Bearer token is sent with cookies of another session, then the cookies are ignored', async () => {
    const person = await registered(backend)
    const [here, there] = [await loggedIn(api, person), await loggedIn(api, person)]
    const headers = { ...bearer(here.accessToken), cookie: `__Secure-refresh=${there.refreshToken}` }
    expect((await post(api, '/api/auth/logout', '', headers)).status).toBe(204)
    expect((await me(here.accessToken)).status).toBe(401)
    expect((await me(there.accessToken)).status).toBe(200)
  })

  const logOut = async (refreshToken: string): Promise<number> => (await post(api, '/api/auth/logout', { refreshToken })).status

  test('When a person logs out with a token that was exchanged within the grace period, then the session ends', async () => {
    const { refreshToken } = await loggedIn(api, await registered(backend))
    const second = await refresh(refreshToken)
    expect(await logOut(refreshToken)).toBe(204)
    expect((await refresh(second.body.refreshToken)).status).toBe(401)
    expect(await logOut(refreshToken)).toBe(204)
  })

  test('When a person logs out with a token from before a password change, then the response is 401, and the session continues', async () => {
    const person = await registered(backend)
    const first = await loggedIn(api, person)
    const second = await refresh(first.refreshToken)
    const body = { currentPassword: person.password, newPassword: 'quite another passphrase' }
    const changed = await post<BearerTokens>(api, '/api/auth/change-password', body, bearer(second.body.accessToken))
    expect([await logOut(second.body.refreshToken), await logOut(first.refreshToken)]).toEqual([401, 401])
    await rotatedBefore(second.body.refreshToken, 10 * 60)
    expect(await logOut(second.body.refreshToken)).toBe(401)
    expect((await refresh(changed.body.refreshToken)).status).toBe(200)
  })

  test('When a person logs out with an exchanged token after the grace period, then the session ends as reused', async () => {
    const { refreshToken } = await loggedIn(api, await registered(backend))
    const second = await refresh(refreshToken)
    await rotatedBefore(refreshToken, 10 * 60)
    expect(await logOut(refreshToken)).toBe(204)
    expect((await me(second.body.accessToken)).status).toBe(401)
    const [session] = await query(`SELECT end_reason FROM sessions WHERE refresh_hash = encode(sha256($1::text::bytea), 'hex')`, [
      second.body.refreshToken,
    ])
    expect(session).toEqual({ end_reason: 'reused' })
  })

  test('When a logout has no token, then the response is 401', async () => {
    expect((await post(api, '/api/auth/logout', {})).status).toBe(401)
  })

  test('When a person logs out of all sessions, then all sessions end', async () => {
    const person = await registered(backend)
    const [here, there] = [await loggedIn(api, person), await loggedIn(api, person)]
    expect((await post(api, '/api/auth/logout-all', '', bearer(here.accessToken))).status).toBe(204)
    for (const { accessToken, refreshToken } of [here, there]) {
      expect((await me(accessToken)).status).toBe(401)
      expect((await refresh(refreshToken)).status).toBe(401)
    }
  })
})

describe('Passwords', () => {
  async function resetToken(email: string): Promise<string> {
    expect((await post(api, '/api/auth/forgot-password', { email })).status).toBe(202)
    const mails = await mailsTo(backend.mailDirectory, email, 'Set a new password')
    expect(mails.at(-1)).toContain('https://calls.example.com/reset-password')
    return tokenIn(mails.at(-1)!)
  }

  async function twoLinks(email: string): Promise<[string, string]> {
    const first = await resetToken(email)
    await post(api, '/api/auth/forgot-password', { email })
    const second = await eventually('the second link', async () =>
      (await mailsTo(backend.mailDirectory, email, 'Set a new password')).map(tokenIn).find((token) => token !== first),
    )
    return [first, second]
  }

  test('When a link is used, then the new password works, all sessions end, and the owner gets a mail', async () => {
    const person = await registered(backend)
    const session = await loggedIn(api, person)
    const token = await resetToken(person.email)
    const password = 'quite another passphrase'
    expect((await post(api, '/api/auth/reset-password', { token, password })).status).toBe(204)
    await loggedIn(api, { ...person, password })
    expect((await post(api, '/api/auth/login', { email: person.email, password: person.password })).status).toBe(401)
    expect((await me(session.accessToken)).status).toBe(401)
    expect((await refresh(session.refreshToken)).status).toBe(401)
    await mailsTo(backend.mailDirectory, person.email, 'Your password was changed')
    expect((await post(api, '/api/auth/reset-password', { token, password: 'yet another passphrase' })).body).toMatchObject({
      code: 'reset_token_invalid',
    })
  })

  test('When two requests use one link at the same time, then one of them succeeds', async () => {
    const person = await registered(backend)
    const token = await resetToken(person.email)
    const passwords = ['the first of two passphrases', 'the second of two passphrases']
    const answers = await Promise.all(passwords.map((password) => post(api, '/api/auth/reset-password', { token, password })))
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([204, 403])
    await loggedIn(api, { ...person, password: passwords[answers.findIndex(({ status }) => status === 204)]! })
  })

  test('When a link has expired, or its account was deleted, then it is rejected', async () => {
    const [late, gone] = [await registered(backend), await registered(backend)]
    const tokens = [await resetToken(late.email), await resetToken(gone.email)]
    await query(
      `UPDATE password_reset_tokens SET created_at = now() - interval '16 minutes', expires_at = now() - interval '1 minute'
       WHERE user_id = (SELECT id FROM users WHERE email = $1)`,
      [late.email],
    )
    await query('DELETE FROM users WHERE email = $1', [gone.email])
    for (const token of tokens)
      expect((await post(api, '/api/auth/reset-password', { token, password: 'quite another passphrase' })).status).toBe(403)
  })

  test('When another link is issued while a link is used, then both become invalid, even if the clock of the database steps back', async () => {
    const person = await registered(backend)
    const token = await resetToken(person.email)
    await query(
      `INSERT INTO password_reset_tokens (user_id, token_hash, created_at, expires_at)
       SELECT id, encode(sha256('later'), 'hex'), now() + interval '5 seconds', now() + interval '15 minutes' FROM users WHERE email = $1`,
      [person.email],
    )
    expect((await post(api, '/api/auth/reset-password', { token, password: 'quite another passphrase' })).status).toBe(204)
    expect((await post(api, '/api/auth/reset-password', { token: 'later', password: 'yet another passphrase' })).status).toBe(403)
  })

  test('When a reset is repeated with the same password within the grace period, then it gets the same response', async () => {
    const person = await registered(backend)
    const reset = { token: await resetToken(person.email), password: 'quite another passphrase' }
    expect((await post(api, '/api/auth/reset-password', reset)).status).toBe(204)
    expect((await post(api, '/api/auth/reset-password', reset)).status).toBe(204)
    expect((await post(api, '/api/auth/reset-password', { ...reset, password: 'yet another passphrase' })).status).toBe(403)
    await query(`UPDATE password_reset_tokens SET created_at = created_at - interval '2 minutes', used_at = used_at - interval '2 minutes'`)
    expect((await post(api, '/api/auth/reset-password', reset)).status).toBe(403)
  })

  test('When the new password is weak, then the link stays valid', async () => {
    const person = await registered(backend)
    const token = await resetToken(person.email)
    expect((await post(api, '/api/auth/reset-password', { token, password: 'passwordpassword' })).status).toBe(422)
    expect((await post(api, '/api/auth/reset-password', { token, password: 'quite another passphrase' })).status).toBe(204)
  })

  test('When a second link is requested and used, then the first link is invalid', async () => {
    const person = await registered(backend)
    const [first, second] = await twoLinks(person.email)
    expect((await post(api, '/api/auth/reset-password', { token: second, password: 'quite another passphrase' })).status).toBe(204)
    expect((await post(api, '/api/auth/reset-password', { token: first, password: 'yet another passphrase' })).status).toBe(403)
  })

  test('When logins run while the password is reset, then no session of the old password stays open', async () => {
    for (let round = 0; round < 8; round += 1) {
      const person = await registered(backend)
      const token = await resetToken(person.email)
      const logins = Array.from({ length: 3 }, () =>
        post<BearerTokens>(api, '/api/auth/login', { email: person.email, password: person.password }),
      )
      const [reset, ...answers] = await Promise.all([
        post(api, '/api/auth/reset-password', { token, password: 'quite another passphrase' }),
        ...logins,
      ])
      expect(reset.status).toBe(204)
      for (const { status, body } of answers) if (status === 200) expect((await me(body.accessToken)).status).toBe(401)
    }
  })

  test('When sessions are refreshed while the password is reset, then there is no deadlock, and none of them stays open', async () => {
    for (let round = 0; round < 8; round += 1) {
      const person = await registered(backend)
      const sessions = [await loggedIn(api, person), await loggedIn(api, person), await loggedIn(api, person)]
      const token = await resetToken(person.email)
      const [reset, ...refreshed] = await Promise.all([
        post(api, '/api/auth/reset-password', { token, password: 'quite another passphrase' }),
        ...sessions.map(({ refreshToken }) => refresh(refreshToken)),
      ])
      expect(reset.status).toBe(204)
      for (const { status, body } of refreshed) {
        expect([200, 401]).toContain(status)
        if (status === 200) expect((await me(body.accessToken)).status).toBe(401)
      }
    }
  })

  test('When the password is changed while its owner resets it, then the new password is that of the reset', async () => {
    for (let round = 0; round < 8; round += 1) {
      const person = await registered(backend)
      const thief = await loggedIn(api, person)
      const token = await resetToken(person.email)
      const change = { currentPassword: person.password, newPassword: 'the passphrase of a thief' }
      await Promise.all([
        post(api, '/api/auth/reset-password', { token, password: 'quite another passphrase' }),
        post(api, '/api/auth/change-password', change, bearer(thief.accessToken)),
      ])
      await loggedIn(api, { ...person, password: 'quite another passphrase' })
    }
  })

  test('When two links of one account are used at the same time, then one of them succeeds, and there is no deadlock', async () => {
    for (let round = 0; round < 6; round += 1) {
      const person = await registered(backend)
      const tokens = await twoLinks(person.email)
      const answers = await Promise.all(
        tokens.map((token, i) => post(api, '/api/auth/reset-password', { token, password: `quite another passphrase ${i}` })),
      )
      expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([204, 403])
    }
  })

  test('When an account is not active, then it gets no link, and its earlier links are invalid', async () => {
    const [before, after] = [await registered(backend), await registered(backend)]
    const token = await resetToken(before.email)
    await query('UPDATE users SET active = false WHERE email = ANY($1)', [[before.email, after.email]])
    expect((await post(api, '/api/auth/reset-password', { token, password: 'quite another passphrase' })).status).toBe(403)
    await post(api, '/api/auth/forgot-password', { email: after.email })
    expect(await subjectsTo(backend, after.email)).not.toContain('Set a new password')
    expect(
      await query('SELECT t.id FROM password_reset_tokens t JOIN users u ON u.id = t.user_id WHERE u.email = $1', [after.email]),
    ).toEqual([])
  })

  test('When an address has no account, then the response is the same, and no mail is sent', async () => {
    const stranger = newPerson()
    const known = await registered(backend)
    const answers = [
      await post(api, '/api/auth/forgot-password', { email: stranger.email }),
      await post(api, '/api/auth/forgot-password', { email: known.email }, { host: 'evil.example.com' }),
    ]
    expect(answers.map(({ status, body }) => [status, body])).toEqual([
      [202, { status: 'accepted' }],
      [202, { status: 'accepted' }],
    ])
    const [mail] = await mailsTo(backend.mailDirectory, known.email, 'Set a new password')
    expect(mail).not.toContain('evil')
    expect(await query('SELECT id FROM users WHERE email = $1', [stranger.email])).toEqual([])
  })

  test('When a person changes the password, then other sessions end, and this one continues', async () => {
    const person = await registered(backend)
    const [here, there] = [await loggedIn(api, person), await loggedIn(api, person)]
    const change = (currentPassword: string, newPassword: string) =>
      post(api, '/api/auth/change-password', { currentPassword, newPassword }, bearer(here.accessToken))
    expect((await change('not the passphrase', 'quite another passphrase')).body).toMatchObject({ status: 403, code: 'wrong_password' })
    expect((await change(person.password, 'short')).status).toBe(422)
    expect((await change(person.password, 'quite another passphrase')).status).toBe(200)
    expect((await me(here.accessToken)).status).toBe(200)
    expect((await me(there.accessToken)).status).toBe(401)
    await loggedIn(api, { ...person, password: 'quite another passphrase' })
  })

  test('When a person changes the password, then the refresh token of this session is replaced, and use of the old one ends no session', async () => {
    const person = await registered(backend)
    const before = await loggedIn(api, person)
    const body = { currentPassword: person.password, newPassword: 'quite another passphrase' }
    const after = await post<BearerTokens>(api, '/api/auth/change-password', body, bearer(before.accessToken))
    expect(after).toMatchObject({ status: 200, body: { tokenType: 'Bearer', expiresIn: 900 } })
    expect((await refresh(before.refreshToken)).status).toBe(401)
    expect((await me(after.body.accessToken)).status).toBe(200)
    expect((await refresh(after.body.refreshToken)).status).toBe(200)
  })

  test('When the new password equals the current one, in any normalization form, then it is rejected', async () => {
    const person = { ...newPerson(), password: 'caf\u00e9 au lait, please' }
    await post(api, '/api/auth/register', person)
    await verified(backend, person)
    const { accessToken } = await loggedIn(api, person)
    for (const newPassword of [person.password, person.password.normalize('NFD')]) {
      const body = { currentPassword: person.password, newPassword }
      const answer = await post(api, '/api/auth/change-password', body, bearer(accessToken))
      expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_fields', errors: [{ field: 'newPassword' }] } })
    }
    expect(await subjectsTo(backend, person.email)).toEqual(['Confirm your email address'])
  })

  test.each([
    [
      'changes the password',
      async (person: Person) => {
        const { accessToken } = await loggedIn(api, person)
        const body = { currentPassword: person.password, newPassword: 'quite another passphrase' }
        return post(api, '/api/auth/change-password', body, bearer(accessToken))
      },
    ],
    [
      'resets the password',
      async (person: Person) => {
        const body = { token: await resetToken(person.email), password: 'quite another passphrase' }
        return post(api, '/api/auth/reset-password', body)
      },
    ],
  ])('When somebody else registers an address while its owner %s, then both transactions lock in the same order', async (_what, change) => {
    const person = await registered(backend)
    const registration = await backend.database.connect()
    try {
      await registration.query('BEGIN')
      await registration.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [person.email])
      const changing = change(person)
      await eventually('the change to wait for the registration', async () => {
        const { rowCount } = await registration.query(
          `SELECT FROM pg_locks JOIN pg_database d ON d.oid = database AND datname = current_database() WHERE locktype = 'advisory' AND NOT granted`,
        )
        return rowCount === 1
      })
      await registration.query('SELECT FROM users WHERE email = $1 FOR NO KEY UPDATE NOWAIT', [person.email])
      await registration.query('COMMIT')
      expect((await changing).status).toBeLessThan(300)
    } finally {
      registration.release(true)
    }
  })
})

describe('A password change whose response was lost', () => {
  async function changedPassword() {
    const person = await registered(backend)
    const { accessToken, refreshToken } = await loggedIn(api, person)
    const change = { currentPassword: person.password, newPassword: 'quite another passphrase' }
    const repeat = (other: Partial<typeof change> = {}) =>
      post<BearerTokens>(api, '/api/auth/change-password', { ...change, ...other }, bearer(accessToken))
    const refresh = (token: string) => post<BearerTokens>(api, '/api/auth/refresh', { refreshToken: token })
    const { status, body } = await repeat()
    expect(status).toBe(200)
    return { person, repeat, refresh, before: refreshToken, after: body.refreshToken }
  }

  test('When the request is repeated, then it gets the same refresh token, and the previous token stays invalid', async () => {
    const { person, repeat, refresh, before, after } = await changedPassword()
    expect(await repeat()).toMatchObject({ status: 200, body: { refreshToken: after } })
    expect((await refresh(before)).status).toBe(401)
    expect((await refresh(after)).status).toBe(200)
    expect(await mailsTo(backend.mailDirectory, person.email, 'Your password was changed')).toHaveLength(1)
  })

  test('When the request is sent twice at the same time, then both get the same refresh token', async () => {
    const person = await registered(backend)
    const { accessToken } = await loggedIn(api, person)
    const change = { currentPassword: person.password, newPassword: 'quite another passphrase' }
    const send = () => post<BearerTokens>(api, '/api/auth/change-password', change, bearer(accessToken))
    const [one, other] = await Promise.all([send(), send()])
    expect([one.status, other.status]).toEqual([200, 200])
    expect(one.body.refreshToken).toBe(other.body.refreshToken)
  })

  test('When the new password differs, the token was used, or the grace period is over, then the response is wrong_password', async () => {
    const wrong = { status: 403, body: { code: 'wrong_password' } }
    const other = await changedPassword()
    expect(await other.repeat({ newPassword: 'yet another passphrase' })).toMatchObject(wrong)
    const used = await changedPassword()
    await used.refresh(used.after)
    expect(await used.repeat()).toMatchObject(wrong)
    const late = await changedPassword()
    await query(`UPDATE refresh_token_blacklist SET created_at = created_at - interval '2 minutes'`)
    expect(await late.repeat()).toMatchObject(wrong)
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
