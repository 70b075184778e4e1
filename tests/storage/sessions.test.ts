// Sessions and their tokens in PostgreSQL, without HTTP.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Tokens } from '../../accounts/context.ts'
import { refreshSession } from '../../accounts/refresh-session.ts'
import { authenticate, openSession } from '../../accounts/sessions.ts'
import { accountsOn } from '../support/accounts.ts'
import { untilWaiting } from '../support/locks.ts'
import { openDatabase, type OpenDatabase } from '../support/servers.ts'

const HASH = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA'

let opened: OpenDatabase
let userId: string
beforeAll(async () => {
  opened = await openDatabase()
  const data = { email: 'somebody@example.com', name: 'Somebody', passwordHash: HASH, verifiedAt: new Date() }
  userId = (await opened.owner.user.create({ data })).id
})
afterAll(() => opened?.close())

const accounts = () => accountsOn(opened.database)
const session = async (): Promise<Tokens> => (await openSession(accounts(), { userId, passwordHash: HASH }))!

test('When two requests refresh one session at the same time, then both get the same token', async () => {
  const { sessionId, refreshToken } = await session()
  let refreshed: Promise<Tokens>[] = []
  await opened.owner.$transaction(async (holder) => {
    await holder.$queryRaw`SELECT FROM sessions WHERE id = ${sessionId}::uuid FOR UPDATE`
    refreshed = [refreshSession(accounts(), refreshToken), refreshSession(accounts(), refreshToken)]
    await untilWaiting(opened.database, 2)
  })
  const [one, other] = await Promise.all(refreshed)
  expect(one!.refreshToken).toBe(other!.refreshToken)
  expect(await refreshSession(accounts(), one!.refreshToken)).toMatchObject({ sessionId })
})

test('When a session has reached its end, then tokens of it that are still valid are refused', async () => {
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
