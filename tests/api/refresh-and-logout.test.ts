// Refresh tokens: their rotation, and logout with them.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { bearer, get, loggedIn, post, registered, type BearerTokens } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'

let backend: Backend
let api: string
beforeAll(async () => {
  backend = await startBackend({ start: ['api'] })
  api = backend.apiUrl
})
afterAll(() => backend?.stop())

const query = async <Row = Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<Row[]> =>
  (await backend.database.query(sql, values)).rows as Row[]
const me = (accessToken: string) => get(api, '/api/auth/me', bearer(accessToken))
const refresh = (refreshToken: string) => post<BearerTokens>(api, '/api/auth/refresh', { refreshToken })

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
