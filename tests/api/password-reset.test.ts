import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
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
  type BearerTokens,
  type Person,
} from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'

let backend: Backend
let api: string
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { PUBLIC_URL: 'https://calls.example.com' } })
  api = backend.apiUrl
})
afterAll(() => backend?.stop())

const query = async <Row = Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<Row[]> =>
  (await backend.database.query(sql, values)).rows as Row[]
const me = (accessToken: string) => get(api, '/api/auth/me', bearer(accessToken))
const refresh = (refreshToken: string) => post<BearerTokens>(api, '/api/auth/refresh', { refreshToken })

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
