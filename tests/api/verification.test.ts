// Verification of addresses: a registered account works after its address is verified.
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { bearer, loggedIn, mailsTo, newPerson, post, registered, subjectsTo, tokenIn, verified, type Person } from '../support/accounts.ts'
import { startAnotherApi, startBackend, type Backend } from '../support/backend.ts'

const LINK = 'Confirm your email address'

let backend: Backend
let api: string
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { PUBLIC_URL: 'https://calls.example.com', TRUST_PROXY: '1' } })
  api = backend.apiUrl
})
afterAll(() => backend?.stop())

let sources = 0
const newSource = (): Record<string, string> => ({ 'x-forwarded-for': `203.0.113.${(sources += 1)}` })
const register = (person: Person, headers = newSource()) => post(api, '/api/auth/register', person, headers)
const logIn = ({ email, password }: Person) => post(api, '/api/auth/login', { email, password }, newSource())
const verify = (token: string, password: string) => post(api, '/api/auth/verify-email', { token, password }, newSource())
const query = async <Row>(sql: string, values: unknown[]): Promise<Row[]> => (await backend.database.query(sql, values)).rows as Row[]
const linksTo = async (email: string, atLeast = 1) => (await mailsTo(backend.mailDirectory, email, LINK, atLeast)).map(tokenIn)

describe('When somebody registers', () => {
  test('then login responds as for a wrong password until the address is verified', async () => {
    const person = newPerson()
    await register(person)
    const answers = [await logIn(person), await logIn({ ...person, password: 'not the passphrase' }), await logIn(newPerson())]
    for (const { status, body } of answers) {
      expect([status, body.code]).toEqual([401, 'invalid_credentials'])
      expect({ ...body, requestId: '' }).toEqual({ ...answers[0]!.body, requestId: '' })
    }
    const [token] = await linksTo(person.email)
    expect((await verify(token!, person.password)).status).toBe(204)
    expect((await logIn(person)).status).toBe(200)
    expect(await subjectsTo(backend, person.email)).toEqual([LINK])
  })

  test('then the link leads to our page, is stored as SHA-256, and is valid for 24 hours', async () => {
    const person = newPerson()
    await register(person)
    const [mail] = await mailsTo(backend.mailDirectory, person.email, LINK)
    expect(mail!.replaceAll('=\n', '')).toContain('https://calls.example.com/verify-email#token=')
    const [row] = await query<{ hash: string; hours: number }>(
      `SELECT verification_hash AS hash, round(extract(epoch FROM verification_expires_at - now()) / 3600)::int AS hours
       FROM users WHERE email = $1`,
      [person.email],
    )
    expect(row).toEqual({ hash: createHash('sha256').update(tokenIn(mail!)).digest('hex'), hours: 24 })
  })
})

describe('When a verification link is opened', () => {
  test('with another password than the chosen one, then it is rejected and stays valid for the right one', async () => {
    const person = newPerson()
    await register(person)
    const [token] = await linksTo(person.email)
    expect(await verify(token!, 'a password of somebody else')).toMatchObject({ status: 403, body: { code: 'wrong_password' } })
    expect((await logIn(person)).status).toBe(401)
    expect((await verify(token!, person.password)).status).toBe(204)
  })

  test('a second time, then it is rejected', async () => {
    const person = newPerson()
    await register(person)
    const [token] = await linksTo(person.email)
    expect((await verify(token!, person.password)).status).toBe(204)
    expect(await verify(token!, person.password)).toMatchObject({ status: 403, body: { code: 'verification_token_invalid' } })
  })

  test('after 24 hours, or with an invented token, then it is rejected', async () => {
    const person = newPerson()
    await register(person)
    const [token] = await linksTo(person.email)
    await query('UPDATE users SET verification_expires_at = now() WHERE email = $1', [person.email])
    for (const each of [token!, 'x'.repeat(43)])
      expect(await verify(each, person.password)).toMatchObject({ status: 403, body: { code: 'verification_token_invalid' } })
    expect((await logIn(person)).status).toBe(401)
  })

  test('of an account that was deactivated, then it is rejected', async () => {
    const person = newPerson()
    await register(person)
    const [token] = await linksTo(person.email)
    await query('UPDATE users SET active = false WHERE email = $1', [person.email])
    expect((await verify(token!, person.password)).status).toBe(403)
  })

  test('with guessed passwords, then guessing slows down', async () => {
    const limited = await startAnotherApi(backend, { RATE_LIMIT_FAILURES: '3' })
    const person = newPerson()
    await register(person)
    const [token] = await linksTo(person.email)
    const statuses: number[] = []
    for (let i = 0; i < 6; i += 1)
      statuses.push((await post(limited, '/api/auth/verify-email', { token, password: `guess ${i}` }, newSource())).status)
    expect(statuses).toEqual([403, 403, 403, 403, 429, 429])
  })
})

describe('When an unverified address is registered again', () => {
  test('then the password and the link are replaced', async () => {
    const first = newPerson()
    const second = { ...first, password: 'the passphrase of the owner', name: 'Owner' }
    await register(first)
    const [old] = await linksTo(first.email)
    await register(second)
    const [, fresh] = await linksTo(first.email, 2)
    expect((await verify(old!, first.password)).status).toBe(403)
    expect(await verify(fresh!, first.password)).toMatchObject({ body: { code: 'wrong_password' } })
    expect((await verify(fresh!, second.password)).status).toBe(204)
    expect((await logIn(first)).status).toBe(401)
    expect((await logIn(second)).status).toBe(200)
    expect(await query('SELECT name FROM users WHERE email = $1', [first.email])).toEqual([{ name: 'Owner' }])
  })

  test('by twenty requests at the same time, then there is one account, and the newest link verifies it with one of the passwords', async () => {
    const person = newPerson()
    const passwords = Array.from({ length: 20 }, (_, i) => `passphrase number ${i} of twenty`)
    const answers = await Promise.all(passwords.map((password) => register({ ...person, password })))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]))
    await subjectsTo(backend, person.email)
    const [row] = await query<{ hash: string }>('SELECT verification_hash AS hash FROM users WHERE email = $1', [person.email])
    const token = (await linksTo(person.email)).find((each) => createHash('sha256').update(each).digest('hex') === row!.hash)
    const outcomes: number[] = []
    for (const password of passwords) outcomes.push((await verify(token!, password)).status)
    expect(outcomes.filter((status) => status === 204)).toHaveLength(1)
  })
})

describe('When an address is not verified', () => {
  test('then it gets only the mail with the link', async () => {
    const person = newPerson()
    await register(person)
    await linksTo(person.email)
    expect((await post(api, '/api/auth/forgot-password', { email: person.email }, newSource())).status).toBe(202)
    expect(await subjectsTo(backend, person.email)).toEqual([LINK])
  })
})

describe('Mail limits of registration', () => {
  test('When one source registers an address repeatedly, then it causes three mails, and the last link stays valid', async () => {
    const person = newPerson()
    const source = newSource()
    for (let i = 0; i < 6; i += 1)
      expect((await register({ ...person, password: `passphrase number ${i} of six` }, source)).status).toBe(202)
    expect(await subjectsTo(backend, person.email)).toEqual([LINK, LINK, LINK])
    const links = await linksTo(person.email, 3)
    await verified(backend, { ...person, password: 'passphrase number 2 of six' }, newSource())
    expect((await verify(links.at(-1)!, 'passphrase number 5 of six')).status).toBe(403)
  })

  test('When many sources register an address, then it gets five mails a day, including those to other addresses of the same mailbox', async () => {
    const person = newPerson()
    for (let i = 0; i < 8; i += 1) await register(person)
    const alias = person.email.replace('@', '+list@')
    await register({ ...person, email: alias })
    expect(await subjectsTo(backend, person.email)).toHaveLength(5)
    expect(await subjectsTo(backend, alias)).toEqual([])
    expect(await query('SELECT FROM users WHERE email = $1', [alias])).toEqual([])
    await query(`UPDATE account_mails SET created_at = now() - interval '25 hours' WHERE recipient = $1`, [person.email])
    await register(person)
    expect(await subjectsTo(backend, person.email)).toHaveLength(6)
  })

  test('When one source registers many addresses, then those above its daily limit get no mail and no account', async () => {
    const limited = await startAnotherApi(backend, { RATE_LIMIT_MAILS: '2' })
    const [people, source] = [[newPerson(), newPerson(), newPerson()], newSource()]
    for (const person of people) expect((await post(limited, '/api/auth/register', person, source)).status).toBe(202)
    const mailed = await Promise.all(people.map(({ email }) => subjectsTo(backend, email)))
    expect(mailed).toEqual([[LINK], [LINK], []])
    expect(await query('SELECT FROM users WHERE email = $1', [people[2]!.email])).toEqual([])
  })

  test('When others register the address of an account repeatedly, then its owner gets at most five mails a day', async () => {
    const person = await registered(backend, newSource())
    for (let i = 0; i < 8; i += 1) await register(person)
    expect((await subjectsTo(backend, person.email)).slice(1)).toEqual(Array.from({ length: 4 }, () => 'You already have an account'))
    await loggedIn(api, person, newSource())
  })
})

describe('Mail limits of accounts', () => {
  const forgot = (email: string, headers: Record<string, string>) => post(api, '/api/auth/forgot-password', { email }, headers)
  const RESET = 'Set a new password'

  test('When a stranger requests resets repeatedly, then a request of the owner still gets a link', async () => {
    const person = await registered(backend, newSource())
    const stranger = newSource()
    for (let i = 0; i < 6; i += 1) expect((await forgot(person.email, stranger)).status).toBe(202)
    const before = (await subjectsTo(backend, person.email)).filter((subject) => subject === RESET).length
    expect(before).toBe(2)
    expect((await forgot(person.email, newSource())).status).toBe(202)
    expect((await subjectsTo(backend, person.email)).filter((subject) => subject === RESET)).toHaveLength(3)
  })

  test('When many strangers request resets, then no further mails are sent, and the mailed links stay valid', async () => {
    const person = await registered(backend, newSource())
    for (let i = 0; i < 8; i += 1) await forgot(person.email, newSource())
    expect((await subjectsTo(backend, person.email)).filter((subject) => subject === RESET)).toHaveLength(3)
    const links = await mailsTo(backend.mailDirectory, person.email, RESET, 3)
    const body = { token: tokenIn(links[0]!), password: 'quite another passphrase' }
    expect((await post(api, '/api/auth/reset-password', body, newSource())).status).toBe(204)
  })

  test('When a stranger requests resets for other addresses of a mailbox, then its owner still gets a link', async () => {
    const person = await registered(backend, newSource())
    const alias = (tag: string) => person.email.replace('@', `+${tag}@`)
    const [one, other] = [newSource(), newSource()]
    for (const tag of ['a', 'b', 'd']) expect((await forgot(alias(tag), one)).status).toBe(202)
    for (const tag of ['c', 'e', 'f']) expect((await forgot(alias(tag), other)).status).toBe(202)
    expect((await forgot(person.email, newSource())).status).toBe(202)
    expect((await subjectsTo(backend, person.email)).filter((subject) => subject === RESET)).toHaveLength(1)
  })

  test('When a limit holds a reset back, then the request still writes a row, so that its time does not show whether there is an account', async () => {
    const [person, nobody] = [await registered(backend, newSource()), newPerson()]
    const rowsOf = ({ email }: Person) => query(`SELECT FROM account_mails WHERE recipient = $1 AND kind = 'password_reset'`, [email])
    for (const { email } of [person, nobody]) for (let i = 0; i < 5; i += 1) await forgot(email, newSource())
    expect(await rowsOf(person)).toHaveLength(5)
    expect(await rowsOf(nobody)).toHaveLength(5)
  })

  test('When a password is changed repeatedly, then its owner gets five mails an hour', async () => {
    const person = await registered(backend, newSource())
    const { accessToken } = await loggedIn(api, person, newSource())
    let currentPassword = person.password
    for (let i = 0; i < 8; i += 1) {
      const newPassword = `passphrase number ${i} of eight`
      expect((await post(api, '/api/auth/change-password', { currentPassword, newPassword }, bearer(accessToken))).status).toBe(200)
      currentPassword = newPassword
    }
    const notices = (await subjectsTo(backend, person.email)).filter((subject) => subject === 'Your password was changed')
    expect(notices).toHaveLength(5)
  })
})

test('When the verification page is opened, then it loads our script', async () => {
  const html = await (await fetch(`${api}/verify-email`)).text()
  expect(html).toContain('<script src="/verify-email/page.js">')
  expect(await (await fetch(`${api}/verify-email/page.js`)).text()).toContain('/api/auth/verify-email')
})
