import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { createAdministrator } from '../../accounts/administration.ts'
import { freePort } from '../../dev/ports.ts'
import { connectDatabase } from '../../platform/database.ts'
import { bearer, get, loggedIn, mailsTo, newPerson, post, registered, tokenIn, type Person } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { newCallSid } from '../support/servers.ts'
import { postWebhook } from '../support/webhook.ts'

const USUAL = {
  RATE_LIMIT_LOGIN: '5',
  RATE_LIMIT_REGISTRATION: '3',
  RATE_LIMIT_FORGOT: '3',
  RATE_LIMIT_GENERAL: '300',
  RATE_LIMIT_FAILURES: '5',
}

let backend: Backend
/** Sets the clock of a process one day ahead. */
const A_DAY_AHEAD = {
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent('const now = Date.now.bind(Date); Date.now = () => now() + 86_400_000')}`,
}

/**
 * API processes on one database. From the third one on, they are behind one proxy. The fourth one has no limit of logins per address.
 * The last two equal the third and the fourth one, but their clocks are one day ahead.
 */
let apis: string[]
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: USUAL })
  apis = [backend.apiUrl]
  const unlimited = { TRUST_PROXY: '1', RATE_LIMIT_LOGIN: '100000' }
  for (const env of [{}, { TRUST_PROXY: '1' }, unlimited, { TRUST_PROXY: '1', ...A_DAY_AHEAD }, { ...unlimited, ...A_DAY_AHEAD }]) {
    const port = await freePort(0)
    backend.launch('api', { PORT: String(port), OPERATIONS_PORT: String(await freePort(0)), ...env })
    apis.push(`http://127.0.0.1:${port}`)
  }
  await eventually('all APIs to be ready', async () =>
    (await Promise.all(apis.map((api) => fetch(`${api}/health/ready`)))).every(({ ok }) => ok),
  )
})
afterAll(() => backend?.stop())
beforeEach(() => backend.database.query('TRUNCATE rate_limits'))

const behindProxy = (address: string) => ({ 'x-forwarded-for': address })
/** The process behind the proxy. */
const proxied = () => ({ apiUrl: apis[2]!, mailDirectory: backend.mailDirectory })
const logIn = (api: string, { email, password }: Person, headers = {}) => post(api, '/api/auth/login', { email, password }, headers)
const times = <T>(count: number, work: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => work(i)))
const statuses = async (answers: Promise<{ status: number }[]>) => (await answers).map(({ status }) => status)
const count = (all: number[], status: number) => all.filter((each) => each === status).length

/** Tries passwords of one account from one address, on a process without a limit per address. */
const guesser = (person: Person, address: string) => (password: string) => logIn(apis[3]!, { ...person, password }, behindProxy(address))
/** Extends the pauses that have started: on a busy machine, the next steps may take longer than their 5 s. */
const holdPauses = () => backend.database.query(`UPDATE rate_limits SET expire = $1 WHERE key LIKE 'pause:%'`, [Date.now() + 600_000])
const endPauses = () => backend.database.query(`UPDATE rate_limits SET expire = 0 WHERE key LIKE 'pause:%'`)

/** With what is left of a window, the least that the window can last: a busy machine takes its time between two requests. */
const secondsSince = (ms: number) => (Date.now() - ms) / 1000

/** A process remembers the clients that it rejected, so each test uses its own address. */
let hosts = 0
const newAddress = () => `198.18.${(hosts += 1) >> 8}.${hosts & 255}`

describe('When three API processes count a limit, then together they accept exactly', () => {
  test('five logins per minute and address', async () => {
    const all = await statuses(times(30, (i) => logIn(apis[i % 3]!, newPerson())))
    expect([count(all, 401), count(all, 429)]).toEqual([5, 25])
  })

  test('five logins at the same time, while PostgreSQL does not respond', async () => {
    const locker = await backend.database.connect()
    await locker.query('BEGIN; LOCK TABLE rate_limits IN ACCESS EXCLUSIVE MODE')
    const headers = behindProxy(newAddress())
    const refused: number[] = []
    const all = times(30, async () => {
      const { status } = await logIn(apis[2]!, newPerson(), headers)
      if (status === 429) refused.push(status)
      return status
    })
    const unlock = async () => {
      await locker.query('COMMIT')
      locker.release()
    }
    await eventually('the others to be rejected', async () => refused.length === 25, 2000).finally(unlock)
    expect(count(await all, 429)).toBe(25)
  })

  test('three registrations', async () => {
    const all = await statuses(times(12, (i) => post(apis[i % 3]!, '/api/auth/register', newPerson())))
    expect([count(all, 202), count(all, 429)]).toEqual([3, 9])
  })

  test('three requests for a password reset', async () => {
    const all = await statuses(times(12, (i) => post(apis[i % 3]!, '/api/auth/forgot-password', { email: newPerson().email })))
    expect([count(all, 202), count(all, 429)]).toEqual([3, 9])
  })
})

test('When a limit is reached, then the response contains Retry-After', async () => {
  const address = behindProxy(newAddress())
  const before = Date.now()
  const first = await logIn(apis[2]!, newPerson(), address)
  expect(first.headers.get('ratelimit-policy')).toBe('"login";q=5;w=60')
  expect(first.headers.get('ratelimit')).toMatch(/^"login";r=4;t=\d+$/)
  await times(4, () => logIn(apis[2]!, newPerson(), address))
  const refused = await logIn(apis[2]!, newPerson(), address)
  expect(refused).toMatchObject({ status: 429, body: { code: 'rate_limited', status: 429 } })
  expect(refused.headers.get('content-type')).toMatch('application/problem+json')
  expect(Number(refused.headers.get('retry-after')) + secondsSince(before)).toBeGreaterThanOrEqual(60)
  expect(refused.headers.get('ratelimit')).toMatch(/^"login";r=0;t=/)
})

describe('The client address', () => {
  test('When there is no proxy, then X-Forwarded-For is ignored', async () => {
    const all = await statuses(times(10, (i) => logIn(apis[0]!, newPerson(), behindProxy(`203.0.113.${i}`))))
    // The process may remember our own address from another test.
    expect(count(all, 401)).toBeLessThanOrEqual(5)
    expect(count(all, 429)).toBeGreaterThanOrEqual(5)
  })

  test('When two clients connect through the proxy, then each has its own limit, whatever X-Forwarded-For it sends', async () => {
    const [one, other] = [newAddress(), newAddress()]
    const all = await statuses(times(10, (i) => logIn(apis[2]!, newPerson(), behindProxy(`10.0.0.${i}, ${one}`))))
    expect([count(all, 401), count(all, 429)]).toEqual([5, 5])
    expect((await logIn(apis[2]!, newPerson(), behindProxy(other))).status).toBe(401)
  })

  test('When addresses are in one /48, or are two notations of one address, then they share a limit', async () => {
    const six = await statuses(times(30, (i) => logIn(apis[2]!, newPerson(), behindProxy(`2001:db8:1:${i}::${i + 1}`))))
    expect(count(six, 401)).toBe(5)
    const mapped = newAddress()
    const four = await statuses(times(12, (i) => logIn(apis[2]!, newPerson(), behindProxy(i % 2 ? mapped : `::ffff:${mapped}`))))
    expect(count(four, 401)).toBe(5)
  })

  test('When X-Forwarded-For is invalid or very long, then the request gets a response', async () => {
    for (const value of ['rubbish', '<script>', Array.from({ length: 200 }, (_, i) => `10.1.1.${i}`).join(', ')])
      expect([401, 429]).toContain((await logIn(apis[2]!, newPerson(), behindProxy(value))).status)
  })
})

describe('Failed logins of one account', () => {
  test('When a password is guessed from one address, then each further guess waits longer, and the right password resets the count', async () => {
    const person = await registered(proxied(), behindProxy(newAddress()))
    const guess = guesser(person, newAddress())
    const burst = await statuses(times(12, () => guess('not the passphrase')))
    // Five free guesses and the first one that starts a pause. One less if a guess ends while another one is counted.
    expect([5, 6]).toContain(count(burst, 401))
    expect(count(burst, 401) + count(burst, 429)).toBe(12)
    await holdPauses()
    expect(await guess(person.password)).toMatchObject({ status: 429, body: { code: 'rate_limited' } })

    const failures = count(burst, 401)
    for (const pauseSeconds of [5, 10, 20].slice(failures - 5, failures - 3)) {
      await endPauses()
      const before = Date.now()
      expect((await guess('not the passphrase')).status).toBe(401)
      const waiting = await guess(person.password)
      expect(Number(waiting.headers.get('retry-after')) + secondsSince(before)).toBeGreaterThanOrEqual(pauseSeconds)
    }

    await endPauses()
    expect((await guess(person.password)).status).toBe(200)
    expect(await statuses(times(5, () => guess('not the passphrase')))).toEqual([401, 401, 401, 401, 401])
  })

  test('When a password is guessed from many addresses, then after four times as many guesses unknown addresses wait', async () => {
    const person = await registered(proxied(), behindProxy(newAddress()))
    const guesses: number[] = []
    for (let i = 0; i < 22; i += 1) guesses.push((await guesser(person, newAddress())('not the passphrase')).status)
    expect([count(guesses, 401), guesses.at(-1)]).toEqual([21, 429]) // twenty free guesses and the first one that starts a pause
    await holdPauses()
    expect((await guesser(person, newAddress())(person.password)).status).toBe(429)
  })

  test('When a password is guessed from many addresses at the same time, then no more guesses are accepted than in sequence', async () => {
    const person = newPerson()
    const burst = await statuses(times(40, () => guesser(person, newAddress())('not the passphrase')))
    expect(count(burst, 401)).toBeLessThanOrEqual(21)
    expect(count(burst, 401) + count(burst, 429)).toBe(40)
  })

  test('When there are several bursts, then the pause grows with the accepted guesses, not with the rejected ones', async () => {
    const person = await registered(proxied(), behindProxy(newAddress()))
    for (let burst = 0; burst < 3; burst += 1) await times(40, () => guesser(person, newAddress())('not the passphrase'))
    expect(Number((await guesser(person, newAddress())('not the passphrase')).headers.get('retry-after'))).toBeLessThanOrEqual(10)
  })

  test('When a stranger guesses from one address for a long time, then the owner logs in from any other address without a pause', async () => {
    const person = await registered(proxied(), behindProxy(newAddress()))
    const guess = guesser(person, newAddress())
    for (let round = 0; round < 20; round += 1) {
      await guess('not the passphrase')
      await endPauses()
    }
    await guess('not the passphrase')
    expect((await guess(person.password)).status).toBe(429)
    expect((await guesser(person, newAddress())(person.password)).status).toBe(200)
  })

  test('When many strangers guess, then the owner logs in at once from an address with an earlier login', async () => {
    const person = await registered(proxied(), behindProxy(newAddress()))
    const [home, elsewhere] = [guesser(person, newAddress()), guesser(person, newAddress())]
    expect((await home(person.password)).status).toBe(200)
    await times(40, () => guesser(person, newAddress())('not the passphrase'))
    await holdPauses()
    expect((await elsewhere(person.password)).status).toBe(429)
    expect((await home(person.password)).status).toBe(200)
  })

  test('When the password is reset with a mailed link, then the owner logs in without a wait from the same address', async () => {
    const person = await registered(proxied(), behindProxy(newAddress()))
    await post(apis[2]!, '/api/auth/forgot-password', { email: person.email }, behindProxy(newAddress()))
    const [mail] = await mailsTo(backend.mailDirectory, person.email, 'Set a new password')
    await times(40, () => guesser(person, newAddress())('not the passphrase'))
    await holdPauses()
    expect((await guesser(person, newAddress())(person.password)).status).toBe(429)
    const password = 'quite another passphrase'
    const reset = { token: tokenIn(mail!), password }
    expect((await post(apis[2]!, '/api/auth/reset-password', reset, behindProxy(newAddress()))).status).toBe(204)
    expect((await guesser(person, newAddress())(password)).status).toBe(200)
  })

  test('When the password is reset with a mailed link, then the owner logs in without a wait from other addresses as well', async () => {
    const person = await registered(proxied(), behindProxy(newAddress()))
    const home = guesser(person, newAddress())
    await times(12, () => home('not the passphrase'))
    await holdPauses()
    expect((await home(person.password)).status).toBe(429)
    await post(apis[2]!, '/api/auth/forgot-password', { email: person.email }, behindProxy(newAddress()))
    const [mail] = await mailsTo(backend.mailDirectory, person.email, 'Set a new password')
    const reset = { token: tokenIn(mail!), password: 'quite another passphrase' }
    expect((await post(apis[2]!, '/api/auth/reset-password', reset, behindProxy(newAddress()))).status).toBe(204)
    expect((await home('quite another passphrase')).status).toBe(200)
  })

  test('When an administrator sets a new password, then the owner logs in without a wait, and other accounts still have to wait', async () => {
    const [person, stranger] = [await registered(proxied(), behindProxy(newAddress())), newPerson()]
    const home = guesser(person, newAddress())
    await times(12, () => home('not the passphrase'))
    await times(40, () => guesser(person, newAddress())('not the passphrase'))
    const elsewhere = guesser(stranger, newAddress())
    await times(12, () => elsewhere('not the passphrase'))
    await holdPauses()
    const database = connectDatabase({ url: backend.databaseUrl, poolSize: 1, logger: pino({ level: 'silent' }) })
    const { password } = await createAdministrator(database, person.email).finally(() => database.$disconnect())
    for (let i = 0; i < 3; i += 1) expect((await home('not the passphrase')).status).toBe(401)
    expect((await home(password)).status).toBe(200)
    expect((await guesser(person, newAddress())(password)).status).toBe(200)
    expect((await elsewhere('not the passphrase')).status).toBe(429)
  })

  test('When there is no such account, then guessing slows down as well', async () => {
    const guess = guesser(newPerson(), newAddress())
    const all = await statuses(times(12, () => guess('not the passphrase')))
    expect([5, 6]).toContain(count(all, 401))
    expect(count(all, 401) + count(all, 429)).toBe(12)
  })

  test('When a new password is weak, then this does not count as a failed login', async () => {
    const person = await registered(proxied(), behindProxy(newAddress()))
    const { accessToken } = await loggedIn(apis[2]!, person, behindProxy(newAddress()))
    const change = (newPassword: string) =>
      post(apis[2]!, '/api/auth/change-password', { currentPassword: person.password, newPassword }, bearer(accessToken))
    for (let i = 0; i < 8; i += 1) expect((await change('short')).status).toBe(422)
    expect((await change('quite another passphrase')).status).toBe(200)
  })
})

describe('When a clock was wrong and has been corrected', () => {
  test('then a client waits no longer than the window of the limit', async () => {
    const address = behindProxy(newAddress())
    for (let i = 0; i < 6; i += 1) await logIn(apis[4]!, newPerson(), address)
    const refused = await logIn(apis[2]!, newPerson(), address)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60)
  })

  test('then an account waits no longer than its pause', async () => {
    const [person, address] = [newPerson(), behindProxy(newAddress())]
    for (let i = 0; i < 8; i += 1) await logIn(apis[5]!, person, address)
    const refused = await logIn(apis[3]!, person, address)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(10)
  })

  test('then counts and pauses that end later than is possible are ignored', async () => {
    const person = await registered(proxied(), behindProxy(newAddress()))
    const [guess, address] = [guesser(person, newAddress()), newAddress()]
    for (let i = 0; i < 8; i += 1) await guess('not the passphrase')
    await logIn(apis[2]!, newPerson(), behindProxy(address))
    await backend.database.query('UPDATE rate_limits SET points = 1000, expire = expire + 2 * 86400000')
    expect((await guess(person.password)).status).toBe(200)
    expect((await logIn(apis[2]!, newPerson(), behindProxy(address))).status).toBe(401)
  })
})

test('When limits cannot be counted, then password requests are rejected, all others are accepted, and the fault is logged once', async () => {
  const person = await registered(proxied(), behindProxy(newAddress()))
  const { refreshToken } = await loggedIn(apis[2]!, person, behindProxy(newAddress()))
  await backend.database.query('ALTER TABLE rate_limits RENAME TO rate_limits_away')
  try {
    const address = behindProxy(newAddress())
    const closed = [
      await logIn(apis[2]!, person, address),
      await post(apis[2]!, '/api/auth/register', newPerson(), address),
      await post(apis[2]!, '/api/auth/forgot-password', { email: person.email }, address),
    ]
    for (const { status, body, headers } of closed) {
      expect([status, body.code]).toEqual([503, 'limits_unavailable'])
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    }
    const open = await post<{ accessToken: string }>(apis[2]!, '/api/auth/refresh', { refreshToken }, address)
    expect(open.status).toBe(200)
    expect((await get(apis[2]!, '/api/auth/me', bearer(open.body.accessToken))).status).toBe(200)
    expect(backend.logs('api').match(/Rate limits cannot be counted/g)).toHaveLength(1)
  } finally {
    await backend.database.query('ALTER TABLE rate_limits_away RENAME TO rate_limits')
  }
})

test('When one address sends hundreds of webhooks, then none is rejected', async () => {
  const all = await statuses(times(400, () => postWebhook(apis[0]!, 'call-start', { CallSid: newCallSid() })))
  expect(count(all, 200)).toBe(400)
})
