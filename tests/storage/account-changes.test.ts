// Changes of accounts that overlap, are repeated, or come from somebody else than the owner, without HTTP.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { hash } from '@node-rs/argon2'
import { decodeJwt } from 'jose'
import { createAdministrator } from '../../accounts/administration.ts'
import { deleteExpired } from '../../accounts/clean-up.ts'
import { logIn } from '../../accounts/login.ts'
import { addMail } from '../../accounts/mail-outbox.ts'
import { changePassword, requestPasswordReset } from '../../accounts/password-reset.ts'
import { refreshSession } from '../../accounts/refresh-session.ts'
import { createInvitation, register } from '../../accounts/registration.ts'
import { endSessions, openSession } from '../../accounts/sessions.ts'
import type { Queryable } from '../../platform/database.ts'
import { accountsOn } from '../support/accounts.ts'
import { untilBlocked } from '../support/locks.ts'
import { openDatabase, type OpenDatabase } from '../support/servers.ts'

const EMAIL = 'somebody@example.com'
const PASSWORD = 'a long passphrase of somebody'
const NEW_PASSWORD = 'quite another passphrase'
const DAY_MS = 24 * 3600_000

let opened: OpenDatabase
let passwordHash: string
beforeAll(async () => {
  opened = await openDatabase()
  passwordHash = await hash(PASSWORD, { memoryCost: 8192, timeCost: 1, parallelism: 1 })
})
beforeEach(() => opened.owner.$executeRaw`TRUNCATE users, account_mails, sessions, refresh_token_blacklist, password_reset_tokens`)
afterAll(() => opened?.close())

const accounts = () => accountsOn(opened.database)
const insertUser = (data: object = {}) =>
  opened.owner.user.create({ data: { email: EMAIL, name: 'Somebody', passwordHash, verifiedAt: new Date(), ...data } })
const unverified = { verifiedAt: null, createdAt: new Date(Date.now() - 8 * DAY_MS) }
const userOf = () => opened.database.user.findUniqueOrThrow({ where: { email: EMAIL } })
const registration = { email: EMAIL, password: NEW_PASSWORD, name: 'A stranger', source: '192.0.2.1' }

describe('When an account was not verified for a week', () => {
  /** A connection on which this happens after clean-up has listed the expired rows. */
  function afterListing(meanwhile: () => Promise<unknown>): Queryable {
    const { database } = opened
    const $queryRaw = async (...query: Parameters<typeof database.$queryRaw>) => {
      const rows = await database.$queryRaw(...query)
      await meanwhile()
      return rows
    }
    return { $queryRaw: $queryRaw as Queryable['$queryRaw'], $executeRaw: database.$executeRaw.bind(database) }
  }

  test.each([0, 1])('and is verified during a clean-up, then it stays, with its %i sessions', async (sessions) => {
    const { id } = await insertUser(unverified)
    const verify = async () => {
      await opened.owner.user.update({ where: { id }, data: { verifiedAt: new Date() } })
      if (sessions > 0) await openSession(accounts(), { userId: id, passwordHash })
    }
    expect(await deleteExpired(afterListing(verify), 'unverifiedAccounts', 100)).toEqual({ rows: 0, more: false })
    expect([await opened.owner.user.count(), await opened.owner.session.count()]).toEqual([1, sessions])
  })

  test('and is registered again, then clean-up keeps it for another week', async () => {
    await insertUser(unverified)
    await register(accounts(), registration)
    expect(await deleteExpired(opened.database, 'unverifiedAccounts', 100)).toEqual({ rows: 0, more: false })
    expect(await userOf()).toMatchObject({ name: 'A stranger', verifiedAt: null })
  })
})

test('When a stranger registers the address of a verified account, then its name and its password stay', async () => {
  await insertUser()
  await register(accounts(), registration)
  expect(await userOf()).toMatchObject({ name: 'Somebody', passwordHash })
})

test('When strangers have used up the mails of an address, then an invited person can still register with it', async () => {
  for (let i = 0; i < 5; i += 1) await addMail(opened.database, { kind: 'verification', to: EMAIL, source: `stranger ${i}` })
  const invitation = await createInvitation(accounts(), EMAIL)
  expect((decodeJwt(invitation).exp! * 1000 - Date.now()) / DAY_MS).toBeCloseTo(7, 1)
  await register(accounts(), { ...registration, invitation })
  await logIn(accounts(), { email: EMAIL, password: NEW_PASSWORD })
  expect(await opened.owner.accountMail.count()).toBe(5)
})

test('When a person enters the address in capitals, then login works, and a reset is mailed to the stored address', async () => {
  await insertUser()
  await logIn(accounts(), { email: 'SomeBody@Example.com', password: PASSWORD })
  await requestPasswordReset(accounts(), { email: 'SomeBody@Example.com', source: '192.0.2.1' })
  expect(await opened.owner.accountMail.findMany()).toMatchObject([{ kind: 'password_reset', recipient: EMAIL, mailbox: EMAIL }])
})

test('When an administrator is created for an account that was deactivated, then login works', async () => {
  await insertUser({ active: false })
  const { password, existed } = await createAdministrator(opened.owner, EMAIL)
  expect(existed).toBe(true)
  await logIn(accounts(), { email: EMAIL, password })
})

test('When sessions may last one day and be idle for seven, then login and refresh work, and the session ends after a day', async () => {
  const { id: userId } = await insertUser()
  const short = { ...accounts(), sessionDays: 1 }
  const { refreshToken } = (await openSession(short, { userId, passwordHash }))!
  const { sessionId } = await refreshSession(short, refreshToken)
  const { createdAt, expiresAt, refreshExpiresAt } = await opened.database.session.findUniqueOrThrow({ where: { id: sessionId } })
  expect(refreshExpiresAt).toEqual(expiresAt)
  expect((expiresAt.getTime() - createdAt.getTime()) / DAY_MS).toBeCloseTo(1, 3)
})

test('When an account is being deactivated during a login, then the login gets no session', async () => {
  const { id: userId } = await insertUser()
  let login: ReturnType<typeof openSession> | undefined
  await opened.owner.$transaction(async (transaction) => {
    await transaction.$executeRaw`UPDATE users SET active = false WHERE id = ${userId}::uuid`
    await endSessions(transaction, { userId }, 'revoked')
    login = openSession(accounts(), { userId, passwordHash })
    await untilBlocked(opened.database, [login])
  })
  expect(await login).toBeUndefined()
  expect(await opened.owner.session.count()).toBe(0)
})

describe('When a password is changed with a session', () => {
  test('that was ended meanwhile, then the password stays', async () => {
    const { id: userId } = await insertUser()
    const { sessionId } = (await openSession(accounts(), { userId, passwordHash }))!
    await endSessions(opened.database, { sessionId }, 'revoked')
    const identity = { userId, sessionId, email: EMAIL, name: 'Somebody', role: 'user' } as const
    const changed = changePassword(accounts(), identity, { currentPassword: PASSWORD, newPassword: NEW_PASSWORD })
    await expect(changed).rejects.toMatchObject({ code: 'session_ended' })
    expect((await userOf()).passwordHash).toBe(passwordHash)
    expect(await opened.owner.accountMail.count()).toBe(0)
  })

  test('then each replaced refresh token is known as long as the session may last, so that its reuse is noticed', async () => {
    const { id: userId } = await insertUser()
    const { sessionId, refreshToken } = (await openSession(accounts(), { userId, passwordHash }))!
    await refreshSession(accounts(), refreshToken)
    const identity = { userId, sessionId, email: EMAIL, name: 'Somebody', role: 'user' } as const
    await changePassword(accounts(), identity, { currentPassword: PASSWORD, newPassword: NEW_PASSWORD })
    await endSessions(opened.database, { sessionId }, 'logged_out')
    const { expiresAt, refreshExpiresAt } = await opened.database.session.findUniqueOrThrow({ where: { id: sessionId } })
    expect(refreshExpiresAt.getTime()).toBeLessThan(expiresAt.getTime())
    const known = await opened.database.refreshTokenBlacklist.findMany({ where: { sessionId }, orderBy: { createdAt: 'asc' } })
    expect(known).toMatchObject([
      { reason: 'rotated', expiresAt },
      { reason: 'password_changed', expiresAt },
      { reason: 'logged_out', expiresAt },
    ])
  })
})
