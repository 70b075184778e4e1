import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { bearer, get, loggedIn, newPerson, post, registered } from '../support/accounts.ts'
import { startAnotherApi, startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { behindProxy, count, logIn, newAddress, secondsSince, statuses, times, USUAL_LIMITS } from '../support/limited-clients.ts'
import { newCallSid } from '../support/servers.ts'
import { postWebhook } from '../support/webhook.ts'

let backend: Backend
/** API processes on one database. The third one is behind a proxy. */
let apis: string[]
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: USUAL_LIMITS })
  apis = [backend.apiUrl, ...(await Promise.all([startAnotherApi(backend), startAnotherApi(backend, { TRUST_PROXY: '1' })]))]
})
afterAll(() => backend?.stop())
beforeEach(() => backend.database.query('TRUNCATE rate_limits'))

/** The process behind the proxy. */
const proxied = () => ({ apiUrl: apis[2]!, mailDirectory: backend.mailDirectory })

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

test('When limits cannot be counted, then password requests are rejected, all others are accepted, and the fault is logged once', async () => {
  const person = await registered(proxied(), behindProxy(newAddress()))
  const { refreshToken } = await loggedIn(apis[2]!, person, behindProxy(newAddress()))
  const faults = (): number => backend.logs('api').match(/Rate limits cannot be counted/g)?.length ?? 0
  const before = faults() // on a busy machine, counting may have taken too long before
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
    expect(faults() - before).toBe(1)
  } finally {
    await backend.database.query('ALTER TABLE rate_limits_away RENAME TO rate_limits')
  }
})

test('When limits could not be counted twice, then the log contains the start and the end of each time', async () => {
  const api = await startAnotherApi(backend, { TRUST_PROXY: '1' }) // has not seen the outage above
  const login = () => logIn(api, newPerson(), behindProxy(newAddress()))
  const lines = () =>
    ['Rate limits cannot be counted', 'Rate limits are counted again'].map((text) => backend.logs('api').split(text).length)
  const [started, ended] = lines() as [number, number]
  for (const outage of [1, 2]) {
    await backend.database.query('ALTER TABLE rate_limits RENAME TO rate_limits_away')
    await login().finally(() => backend.database.query('ALTER TABLE rate_limits_away RENAME TO rate_limits'))
    await login()
    await eventually('both lines', async () => lines().join() === `${started + outage},${ended + outage}`, 5000)
  }
})

test('When one address sends hundreds of webhooks, then none is rejected', async () => {
  const all = await statuses(times(400, () => postWebhook(apis[0]!, 'call-start', { CallSid: newCallSid() })))
  expect(count(all, 200)).toBe(400)
})
