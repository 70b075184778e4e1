// How long failed logins, pauses and known sources are remembered, in the table that all API processes share.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import pg from 'pg'
import { AccountError } from '../../accounts/errors.ts'
import { createLoginThrottle, type LoginThrottle } from '../../accounts/login-throttle.ts'
import { countersOf } from '../../platform/rate-counters.ts'
import { createDatabase, type TestDatabase } from '../support/servers.ts'

const MINUTE = 60
const DAY = 24 * 3600
const FREE_FAILURES = 5
const login = { account: 'somebody@example.com', source: '192.0.2.1' }

let created: TestDatabase
let pool: pg.Pool
let throttle: LoginThrottle
beforeAll(async () => {
  created = await createDatabase()
  pool = new pg.Pool({ connectionString: created.applicationUrl, max: 2 })
  throttle = createLoginThrottle(countersOf(pool), FREE_FAILURES)
})
beforeEach(() => pool.query('DELETE FROM rate_limits'))
afterAll(async () => {
  await pool?.end()
  await created?.drop()
})

const guess = () => throttle.guardLogin(login, () => Promise.reject(new AccountError('invalid_credentials', 'wrong')))
/** Seconds until the counters of this kind expire, the longest. */
async function secondsLeft(kind: string): Promise<number> {
  const { rows } = await pool.query<{ seconds: number }>(
    `SELECT max(expire / 1000.0 - extract(epoch FROM now()))::float AS seconds FROM rate_limits WHERE key LIKE $1`,
    [`${kind}:%`],
  )
  return rows[0]!.seconds
}
/** Half of the time may pass on a very busy machine. */
function expectAbout(seconds: number, expected: number): void {
  expect(seconds).toBeGreaterThan(expected / 2)
  expect(seconds).toBeLessThan(expected + 1)
}

test('When a password is guessed for a long time, then the pause grows to 15 minutes, and the failures count for a day', async () => {
  for (let i = 0; i < FREE_FAILURES + 12; i += 1) {
    await expect(guess()).rejects.toMatchObject({ code: 'invalid_credentials' })
    await pool.query(`UPDATE rate_limits SET expire = 0 WHERE key LIKE 'pause:%'`)
  }
  await expect(guess()).rejects.toMatchObject({ code: 'invalid_credentials' })
  expectAbout(await secondsLeft('pause'), 15 * MINUTE)
  expectAbout(await secondsLeft('failures'), DAY)
  await expect(guess()).rejects.toMatchObject({ code: 'too_many_attempts', retryAfterSeconds: expect.any(Number) })
})

test('When the owner has logged in, then the source is known for 30 days, and the failures before it are forgotten', async () => {
  await expect(guess()).rejects.toMatchObject({ code: 'invalid_credentials' })
  expect(await throttle.guardLogin(login, async () => 'a session')).toBe('a session')
  expectAbout(await secondsLeft('known'), 30 * DAY)
  expect((await pool.query(`SELECT FROM rate_limits WHERE key LIKE 'failures:%'`)).rowCount).toBe(0)
})

test('When failed attempts cannot be counted, then no password is checked', async () => {
  const nowhere = new pg.Pool({ connectionString: 'postgresql://somebody@127.0.0.1:1/nothing' })
  const failing = createLoginThrottle(countersOf(nowhere), FREE_FAILURES)
  let checks = 0
  const check = async () => (checks += 1)
  await expect(failing.guardLogin(login, check)).rejects.toMatchObject({ code: 'attempts_not_counted' })
  await expect(failing.guardPasswordCheck('the id of a session', check)).rejects.toMatchObject({ code: 'attempts_not_counted' })
  expect(checks).toBe(0)
  await nowhere.end()
})
