import { execFile as execFileCallback } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { freePort } from '../../dev/ports.ts'
import { bearer, get, loggedIn, mailsTo, newPerson, post, registered, subjectsTo, verified } from '../support/accounts.ts'
import { startAnotherApi, startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { startMailServer } from '../support/mail-server.ts'
import { dist } from '../support/servers.ts'

const execFile = promisify(execFileCallback)

let backend: Backend
let api: string
const apis = {} as Record<'invite' | 'closed', string>
beforeAll(async () => {
  backend = await startBackend({ start: ['api'] })
  api = backend.apiUrl
  for (const REGISTRATION of ['invite', 'closed'] as const) apis[REGISTRATION] = await startAnotherApi(backend, { REGISTRATION })
})
afterAll(() => backend?.stop())

/** Runs the admin command as in the image, with the role that owns the tables. */
async function admin(...args: string[]): Promise<{ code: number; output: string }> {
  return adminWith({ ...backend.env, MIGRATION_DATABASE_URL: backend.databaseUrl }, ...args)
}

async function adminWith(env: NodeJS.ProcessEnv, ...args: string[]): Promise<{ code: number; output: string }> {
  return execFile(process.execPath, [join(dist, 'cli', 'accounts.js'), ...args], { env }).then(
    ({ stdout }) => ({ code: 0, output: stdout.trim() }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, output: (stdout + stderr).trim() }),
  )
}
const register = (apiUrl: string, body: object) => post(apiUrl, '/api/auth/register', body)
const query = async <Row = Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<Row[]> =>
  (await backend.database.query(sql, values)).rows as Row[]

describe('Registration', () => {
  test('When a person registers and verifies the address, then login works, and the account has the role "user"', async () => {
    const person = newPerson()
    const answer = await post(api, '/api/auth/register', person)
    expect(answer).toMatchObject({ status: 202, body: { status: 'accepted' } })
    await verified(backend, person)
    const tokens = await loggedIn(api, person)
    expect(tokens).toEqual({ accessToken: expect.any(String), refreshToken: expect.any(String), tokenType: 'Bearer', expiresIn: 900 })
    expect(await get(api, '/api/auth/me', bearer(tokens.accessToken))).toMatchObject({
      status: 200,
      body: { email: person.email, name: 'Somebody', role: 'user' },
    })
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

describe('When registration is', () => {
  test('closed, then nobody can register, and existing accounts can log in', async () => {
    const known = await registered(backend)
    for (const person of [newPerson(), known])
      expect(await register(apis.closed, person)).toMatchObject({ status: 403, body: { code: 'registration_closed' } })
    await loggedIn(apis.closed, known)
  })

  test('by invitation, then only an invited person can register, and only with the invited address', async () => {
    const [invited, other] = [newPerson(), await registered(backend)]
    const { output: invitation } = await admin('invite', invited.email.toUpperCase())
    const { accessToken } = await loggedIn(backend.apiUrl, other)
    for (const body of [
      invited,
      { ...invited, invitation: '' },
      { ...invited, invitation: 'x.y.z' },
      { ...invited, invitation: accessToken },
      { ...newPerson(), invitation },
    ])
      expect(await register(apis.invite, body)).toMatchObject({ status: 403, body: { code: 'invitation_required' } })
    expect(await register(apis.invite, { ...invited, invitation })).toMatchObject({ status: 202 })
    await loggedIn(apis.invite, invited)
    expect(await subjectsTo(backend, invited.email)).toEqual(['Your account is ready'])
  })

  test('open, and a stranger has registered the address of an invited person, then the invited person gets the account', async () => {
    const stranger = newPerson()
    await register(backend.apiUrl, stranger)
    const invited = { ...stranger, password: 'the passphrase of the invited' }
    const { output: invitation } = await admin('invite', invited.email)
    expect(await register(backend.apiUrl, { ...invited, invitation })).toMatchObject({ status: 202 })
    await loggedIn(backend.apiUrl, invited)
    expect((await post(backend.apiUrl, '/api/auth/login', { email: stranger.email, password: stranger.password })).status).toBe(401)
  })
})

test('When the API is killed while the mail server is unavailable, then the next process sends the mails', async () => {
  const mailPort = await freePort(0)
  const env = { SMTP_URL: `smtp://127.0.0.1:${mailPort}`, PUBLIC_URL: 'https://calls.example.com', RETRY_MAIL_FIRST_SECONDS: '0.1' }
  const other = await startBackend({ start: ['api'], env })
  try {
    const person = newPerson()
    await register(other.apiUrl, person)
    await eventually('an attempt', async () => (await other.database.query('SELECT FROM account_mails WHERE attempts > 0')).rowCount === 1)
    await other.end('api', 'SIGKILL')
    await other.database.query('UPDATE account_mails SET next_attempt_at = now()') // its claim has expired
    const server = await startMailServer(mailPort)
    await other.start('api')
    const [mail] = await eventually('the mail', async () => server.received.length > 0 && server.received)
    expect(mail).toContain(`To: ${person.email}`)
    await server.close()
  } finally {
    await other.stop()
  }
})

describe('npm run accounts', () => {
  test('When the first administrator is created, then login works with the password in the output', async () => {
    const { email } = newPerson()
    const { code, output } = await admin('create', email)
    expect(code).toBe(0)
    const password = /Password, shown only now: (\S+)$/.exec(output)![1]!
    const { accessToken } = await loggedIn(backend.apiUrl, { email, password, name: '' })
    expect((await get(backend.apiUrl, '/api/auth/me', bearer(accessToken))).body).toMatchObject({ role: 'admin' })
    expect((await admin('create', email)).output).toMatch(/The account already existed/)
    expect((await get(backend.apiUrl, '/api/auth/me', bearer(accessToken))).status).toBe(401)
  })

  test('When an administrator is created for an unverified address, then the account works, and its link is invalid', async () => {
    const person = newPerson()
    await register(backend.apiUrl, person)
    await subjectsTo(backend, person.email)
    const { output } = await admin('create', person.email)
    const password = /Password, shown only now: (\S+)$/.exec(output)![1]!
    await expect(verified(backend, { ...person, password })).rejects.toThrow('Verification responded 403')
    await loggedIn(backend.apiUrl, { ...person, password })
  })

  test('When a role changes or an account is deactivated, then this applies to the next request', async () => {
    const person = await registered(backend)
    const { accessToken } = await loggedIn(backend.apiUrl, person)
    const me = () => get(backend.apiUrl, '/api/auth/me', bearer(accessToken))
    expect((await admin('role', person.email, 'operator')).code).toBe(0)
    expect((await me()).body).toMatchObject({ role: 'operator' })
    expect((await admin('deactivate', person.email)).code).toBe(0)
    expect((await me()).status).toBe(401)
    expect((await post(backend.apiUrl, '/api/auth/login', { email: person.email, password: person.password })).status).toBe(401)
    expect((await admin('activate', person.email)).code).toBe(0)
    await loggedIn(backend.apiUrl, person)
  })

  test('When the signing key is replaced, then access tokens are rejected, and sessions can be refreshed', async () => {
    const person = await registered(backend)
    const { accessToken, refreshToken } = await loggedIn(backend.apiUrl, person)
    expect((await admin('new-signing-key')).code).toBe(0)
    const api = await startAnotherApi(backend) // others know within ten seconds
    expect((await get(api, '/api/auth/me', bearer(accessToken))).status).toBe(401)
    const { status, body } = await post<{ accessToken: string }>(api, '/api/auth/refresh', { refreshToken })
    expect(status).toBe(200)
    for (const each of [api, backend.apiUrl]) expect((await get(each, '/api/auth/me', bearer(body.accessToken))).status).toBe(200)
  })

  test.each([
    [[], /^Usage/],
    [['constructor', 'nobody@example.com'], /^Usage/],
    [['activate', 'nobody@example.com', 'now'], /^Usage/],
    [['create', 'nobody'], /^"nobody" is not an e-mail address/],
    [['role', 'nobody@example.com', 'king'], /^The role must be one of/],
    [['role', 'nobody@example.com', 'user'], /^There is no account/],
    [['deactivate', 'nobody@example.com'], /^There is no account/],
  ])('When it is called with %j, then the error message says what is wrong', async (args, words) => {
    const { code, output } = await admin(...args)
    expect([code, output]).toEqual([1, expect.stringMatching(words)])
    expect(output).not.toMatch(/\n {4}at /)
  })
})

test('When the admin command has only the role of the application, then it names the missing setting and changes nothing', async () => {
  const { email } = await registered(backend)
  for (const args of [
    ['create', email],
    ['create', newPerson().email],
    ['role', email, 'admin'],
    ['deactivate', email],
  ])
    expect(await adminWith(backend.env, ...args)).toEqual({
      code: 1,
      output: 'This role may not change accounts: set MIGRATION_DATABASE_URL to the role that owns the tables.',
    })
  const { rows } = await backend.database.query('SELECT role, active FROM users WHERE email = $1', [email])
  expect(rows).toEqual([{ role: 'user', active: true }])
})
