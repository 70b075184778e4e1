// Failed logins of one account: each further guess has to wait.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { createAdministrator } from '../../accounts/administration.ts'
import { connectDatabase } from '../../platform/database.ts'
import { bearer, loggedIn, mailsTo, newPerson, post, registered, tokenIn, type Person } from '../support/accounts.ts'
import { startAnotherApi, startBackend, type Backend } from '../support/backend.ts'
import { behindProxy, count, logIn, newAddress, statuses, times, USUAL_LIMITS } from '../support/limited-clients.ts'

const WITHOUT_LOGIN_LIMIT = { RATE_LIMIT_LOGIN: '100000' }
/** Sets the clock of a process one day ahead. */
const A_DAY_AHEAD = {
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent('const now = Date.now.bind(Date); Date.now = () => now() + 86_400_000')}`,
}

let backend: Backend
let api: string
/** Has no limit of logins per address. */
let unlimited: string
/** These equal the other two, but their clocks are one day ahead. */
let ahead: string
let unlimitedAhead: string
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { ...USUAL_LIMITS, TRUST_PROXY: '1' } })
  api = backend.apiUrl
  ;[unlimited, ahead, unlimitedAhead] = await Promise.all([
    startAnotherApi(backend, WITHOUT_LOGIN_LIMIT),
    startAnotherApi(backend, A_DAY_AHEAD),
    startAnotherApi(backend, { ...WITHOUT_LOGIN_LIMIT, ...A_DAY_AHEAD }),
  ])
})
afterAll(() => backend?.stop())
beforeEach(() => backend.database.query('TRUNCATE rate_limits'))

/** Tries passwords of one account from one address, on a process without a limit per address. */
const guesser = (person: Person, address: string) => (password: string) => logIn(unlimited, { ...person, password }, behindProxy(address))
/**
 * Guesses at the same time, and then until the last guess has to wait: on a busy machine, a few of the first ones may not be counted.
 * The pause then lasts until it is ended.
 */
const guessUntilPaused = async (guesses: number, guess: () => Promise<{ status: number }>) => {
  await times(guesses, guess)
  for (let last = 0; last !== 429;) last = (await guess()).status
  await holdPauses()
}
/** Extends the pauses that have started: on a busy machine, the next steps may take longer than their 5 s. */
const holdPauses = () => backend.database.query(`UPDATE rate_limits SET expire = $1 WHERE key LIKE 'pause:%'`, [Date.now() + 600_000])
const endOfPause = async () =>
  Number((await backend.database.query(`SELECT expire FROM rate_limits WHERE key LIKE 'pause:%'`)).rows[0].expire)
const endPauses = () => backend.database.query(`UPDATE rate_limits SET expire = 0 WHERE key LIKE 'pause:%'`)

describe('Failed logins of one account', () => {
  test('When a password is guessed from one address, then each further guess waits longer, and the right password resets the count', async () => {
    const person = await registered(backend, behindProxy(newAddress()))
    const guess = guesser(person, newAddress())
    for (let free = 0; free < 5; free += 1) expect((await guess('not the passphrase')).status).toBe(401)
    for (const pauseSeconds of [5, 10, 20]) {
      await endPauses()
      const before = Date.now()
      expect((await guess('not the passphrase')).status).toBe(401)
      const endsAt = await endOfPause()
      expect(endsAt).toBeGreaterThanOrEqual(before + pauseSeconds * 1000)
      expect(endsAt).toBeLessThanOrEqual(Date.now() + pauseSeconds * 1000)
      await holdPauses()
      const waiting = await guess(person.password)
      expect(waiting).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
      expect(Number(waiting.headers.get('retry-after'))).toBeGreaterThan(1)
    }

    await endPauses()
    expect((await guess(person.password)).status).toBe(200)
    for (let free = 0; free < 5; free += 1) expect((await guess('not the passphrase')).status).toBe(401)
  })

  test('When a password is guessed from one address at the same time, then no more guesses are accepted than in sequence', async () => {
    const guess = guesser(newPerson(), newAddress())
    const burst = await statuses(times(12, () => guess('not the passphrase')))
    expect(count(burst, 401)).toBeLessThanOrEqual(6) // five free guesses and the first one that starts a pause
    expect(count(burst, 401) + count(burst, 429)).toBe(12)
  })

  test('When a password is guessed from many addresses, then after four times as many guesses unknown addresses wait', async () => {
    const person = await registered(backend, behindProxy(newAddress()))
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
    const person = await registered(backend, behindProxy(newAddress()))
    for (let burst = 0; burst < 3; burst += 1) await times(40, () => guesser(person, newAddress())('not the passphrase'))
    expect(Number((await guesser(person, newAddress())('not the passphrase')).headers.get('retry-after'))).toBeLessThanOrEqual(10)
  })

  test('When a stranger guesses from one address for a long time, then the owner logs in from any other address without a pause', async () => {
    const person = await registered(backend, behindProxy(newAddress()))
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
    const person = await registered(backend, behindProxy(newAddress()))
    const [home, elsewhere] = [guesser(person, newAddress()), guesser(person, newAddress())]
    expect((await home(person.password)).status).toBe(200)
    await guessUntilPaused(40, () => guesser(person, newAddress())('not the passphrase'))
    expect((await elsewhere(person.password)).status).toBe(429)
    expect((await home(person.password)).status).toBe(200)
  })

  test('When the password is reset with a mailed link, then the owner logs in without a wait from the same address', async () => {
    const person = await registered(backend, behindProxy(newAddress()))
    await post(api, '/api/auth/forgot-password', { email: person.email }, behindProxy(newAddress()))
    const [mail] = await mailsTo(backend.mailDirectory, person.email, 'Set a new password')
    await guessUntilPaused(40, () => guesser(person, newAddress())('not the passphrase'))
    expect((await guesser(person, newAddress())(person.password)).status).toBe(429)
    const password = 'quite another passphrase'
    const reset = { token: tokenIn(mail!), password }
    expect((await post(api, '/api/auth/reset-password', reset, behindProxy(newAddress()))).status).toBe(204)
    expect((await guesser(person, newAddress())(password)).status).toBe(200)
  })

  test('When the password is reset with a mailed link, then the owner logs in without a wait from other addresses as well', async () => {
    const person = await registered(backend, behindProxy(newAddress()))
    const home = guesser(person, newAddress())
    await guessUntilPaused(12, () => home('not the passphrase'))
    expect((await home(person.password)).status).toBe(429)
    await post(api, '/api/auth/forgot-password', { email: person.email }, behindProxy(newAddress()))
    const [mail] = await mailsTo(backend.mailDirectory, person.email, 'Set a new password')
    const reset = { token: tokenIn(mail!), password: 'quite another passphrase' }
    expect((await post(api, '/api/auth/reset-password', reset, behindProxy(newAddress()))).status).toBe(204)
    expect((await home('quite another passphrase')).status).toBe(200)
  })

  test('When an administrator sets a new password, then the owner logs in without a wait, and other accounts still have to wait', async () => {
    const [person, stranger] = [await registered(backend, behindProxy(newAddress())), newPerson()]
    const home = guesser(person, newAddress())
    await times(12, () => home('not the passphrase'))
    await times(40, () => guesser(person, newAddress())('not the passphrase'))
    const elsewhere = guesser(stranger, newAddress())
    await guessUntilPaused(12, () => elsewhere('not the passphrase'))
    const database = connectDatabase({ url: backend.databaseUrl, poolSize: 1, logger: pino({ level: 'silent' }) })
    const { password } = await createAdministrator(database, person.email).finally(() => database.$disconnect())
    for (let i = 0; i < 3; i += 1) expect((await home('not the passphrase')).status).toBe(401)
    expect((await home(password)).status).toBe(200)
    expect((await guesser(person, newAddress())(password)).status).toBe(200)
    expect((await elsewhere('not the passphrase')).status).toBe(429)
  })

  test('When there is no such account, then guessing slows down as well', async () => {
    const guess = guesser(newPerson(), newAddress())
    for (let free = 0; free < 6; free += 1) expect((await guess('not the passphrase')).status).toBe(401)
    await holdPauses()
    expect((await guess('not the passphrase')).status).toBe(429)
  })

  test('When a new password is weak, then this does not count as a failed login', async () => {
    const person = await registered(backend, behindProxy(newAddress()))
    const { accessToken } = await loggedIn(api, person, behindProxy(newAddress()))
    const change = (newPassword: string) =>
      post(api, '/api/auth/change-password', { currentPassword: person.password, newPassword }, bearer(accessToken))
    for (let i = 0; i < 8; i += 1) expect((await change('short')).status).toBe(422)
    expect((await change('quite another passphrase')).status).toBe(200)
  })
})

describe('When a clock was wrong and has been corrected', () => {
  test('then a client waits no longer than the window of the limit', async () => {
    const address = behindProxy(newAddress())
    for (let i = 0; i < 6; i += 1) await logIn(ahead, newPerson(), address)
    const refused = await logIn(api, newPerson(), address)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60)
  })

  test('then an account waits no longer than its pause', async () => {
    const [person, address] = [newPerson(), behindProxy(newAddress())]
    for (let i = 0; i < 8; i += 1) await logIn(unlimitedAhead, person, address)
    const refused = await logIn(unlimited, person, address)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(10)
  })

  test('then counts and pauses that end later than is possible are ignored', async () => {
    const person = await registered(backend, behindProxy(newAddress()))
    const [guess, address] = [guesser(person, newAddress()), newAddress()]
    for (let i = 0; i < 8; i += 1) await guess('not the passphrase')
    await logIn(api, newPerson(), behindProxy(address))
    await backend.database.query('UPDATE rate_limits SET points = 1000, expire = expire + 2 * 86400000')
    expect((await guess(person.password)).status).toBe(200)
    expect((await logIn(api, newPerson(), behindProxy(address))).status).toBe(401)
  })
})
