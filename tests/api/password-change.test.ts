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
  verified,
  type BearerTokens,
} from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'

let backend: Backend
let api: string
beforeAll(async () => {
  backend = await startBackend({ start: ['api'] })
  api = backend.apiUrl
})
afterAll(() => backend?.stop())

const me = (accessToken: string) => get(api, '/api/auth/me', bearer(accessToken))
const refresh = (refreshToken: string) => post<BearerTokens>(api, '/api/auth/refresh', { refreshToken })

describe('Passwords', () => {
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
    await backend.database.query(`UPDATE refresh_token_blacklist SET created_at = created_at - interval '2 minutes'`)
    expect(await late.repeat()).toMatchObject(wrong)
  })
})
