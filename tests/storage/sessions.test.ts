// Sessions and their tokens in PostgreSQL, without HTTP.
import { hash } from '@node-rs/argon2'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Tokens } from '../../accounts/context.ts'
import { changePassword } from '../../accounts/password-reset.ts'
import { refreshSession } from '../../accounts/refresh-session.ts'
import { authenticate, openSession } from '../../accounts/sessions.ts'
import { accountsOn } from '../support/accounts.ts'
import { untilBlocked } from '../support/locks.ts'
import { openDatabase, type OpenDatabase } from '../support/servers.ts'

const PASSWORD = 'a long passphrase of somebody'
const HASH_OF_RESET = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA'
const EMAIL = 'somebody@example.com'

let opened: OpenDatabase
let userId: string
let passwordHash: string
beforeAll(async () => {
  opened = await openDatabase()
  passwordHash = await hash(PASSWORD, { memoryCost: 8192, timeCost: 1, parallelism: 1 })
  const data = { email: EMAIL, name: 'Somebody', passwordHash, verifiedAt: new Date() }
  userId = (await opened.owner.user.create({ data })).id
})
afterAll(() => opened?.close())

const accounts = () => accountsOn(opened.database)
const session = async (): Promise<Tokens> => (await openSession(accounts(), { userId, passwordHash }))!

test('When two requests refresh one session at the same time, then both get the same token', async () => {
  const { sessionId, refreshToken } = await session()
  let refreshed: Promise<Tokens>[] = []
  await opened.owner.$transaction(async (holder) => {
    await holder.$queryRaw`SELECT FROM sessions WHERE id = ${sessionId}::uuid FOR UPDATE`
    refreshed = [refreshSession(accounts(), refreshToken), refreshSession(accounts(), refreshToken)]
    await untilBlocked(opened.database, refreshed)
  })
  const [one, other] = await Promise.all(refreshed)
  expect(one!.refreshToken).toBe(other!.refreshToken)
  expect(await refreshSession(accounts(), one!.refreshToken)).toMatchObject({ sessionId })
})

test('When a session has expired, then its tokens are refused, although they are still valid', async () => {
  const { sessionId, accessToken, refreshToken } = await session()
  expect(await authenticate(accounts(), accessToken)).toMatchObject({ sessionId, userId })
  await opened.owner.$executeRaw`
    UPDATE sessions SET refresh_expires_at = now() - interval '1 s', expires_at = now() - interval '1 s' WHERE id = ${sessionId}::uuid`
  expect(await authenticate(accounts(), accessToken)).toBeUndefined()
  await expect(refreshSession(accounts(), refreshToken)).rejects.toMatchObject({ code: 'refresh_token_invalid' })
})

test('When a session was not refreshed in time, then its refresh token is refused', async () => {
  const { sessionId, refreshToken } = await session()
  await opened.owner.$executeRaw`UPDATE sessions SET refresh_expires_at = now() - interval '1 s' WHERE id = ${sessionId}::uuid`
  await expect(refreshSession(accounts(), refreshToken)).rejects.toMatchObject({ code: 'refresh_token_invalid' })
})

describe('When the password is changed by a transaction that is not committed yet', () => {
  async function duringReset<T>(work: () => Promise<T>): Promise<T> {
    let started: Promise<T> | undefined
    await opened.owner.$transaction(async (reset) => {
      await reset.$executeRaw`UPDATE users SET password_hash = ${HASH_OF_RESET} WHERE id = ${userId}::uuid`
      started = work()
      await untilBlocked(opened.database, [started])
    })
    return started!.finally(() => opened.owner.user.update({ where: { id: userId }, data: { passwordHash } }))
  }

  test('then a login with the old password gets no session', async () => {
    expect(await duringReset(() => openSession(accounts(), { userId, passwordHash }))).toBeUndefined()
  })

  test('then a change of the old password is refused', async () => {
    const { sessionId } = await session()
    const identity = { userId, sessionId, email: EMAIL, name: 'Somebody', role: 'user' } as const
    const passwords = { currentPassword: PASSWORD, newPassword: 'the passphrase of a thief' }
    const changed = duringReset(() => changePassword(accounts(), identity, passwords))
    await expect(changed).rejects.toMatchObject({ code: 'wrong_password' })
  })
})
