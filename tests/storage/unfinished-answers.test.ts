// The response to a client if its request failed, or could not finish all work, after its transaction was committed.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { hash } from '@node-rs/argon2'
import { readFileSync } from 'node:fs'
import type { AccountsContext } from '../../accounts/context.ts'
import { logIn } from '../../accounts/login.ts'
import { hashPassword } from '../../accounts/passwords.ts'
import { GRACE_SECONDS, refreshSession } from '../../accounts/refresh-session.ts'
import { renewSession } from '../../accounts/sessions.ts'
import { addSigningKey, createSigningKeys, forgetOtherSigningKeys, type SigningKeys } from '../../accounts/signing-keys.ts'
import { LONGEST_STATEMENT_MS, LONGEST_TRANSACTION_MS } from '../../platform/database.ts'
import { RETRY_AFTER_SECONDS } from '../../platform/database-errors.ts'
import { accountsOn } from '../support/accounts.ts'
import { openDatabase, type OpenDatabase } from '../support/servers.ts'

const PASSWORD = 'a long passphrase of somebody'
const EMAIL = 'somebody@example.com'

let opened: OpenDatabase
beforeAll(async () => {
  opened = await openDatabase()
  await opened.owner.user.create({ data: { email: EMAIL, name: 'Somebody', passwordHash: await oldHash(), verifiedAt: new Date() } })
})
afterAll(() => opened?.close())

/** A hash with parameters that are no longer used, so that a login renews it. */
const oldHash = () => hash(PASSWORD, { memoryCost: 8192, timeCost: 1, parallelism: 1 })
const accountsWith = (keys: Partial<SigningKeys> = {}): AccountsContext => {
  const accounts = accountsOn(opened.database)
  return { ...accounts, keys: { ...accounts.keys, ...keys } }
}

const PLACES = 4 + 64

/** Occupies all slots of the password hashing when `takePlaces` is called, and releases them after the work. */
async function whileHashingIsBusy<T>(work: (takePlaces: () => void) => Promise<T>): Promise<T> {
  const running = new Set<Promise<void>>()
  let busy = true
  const hashAgain = (): void => {
    if (!busy) return
    const hashing: Promise<void> = hashPassword(PASSWORD)
      .then(
        () => (hashAgain(), hashAgain()),
        () => {},
      )
      .finally(() => running.delete(hashing))
    running.add(hashing)
  }
  const takePlaces = (): void => {
    if (running.size === 0) Array.from({ length: PLACES }, hashAgain)
  }
  try {
    return await work(takePlaces)
  } finally {
    busy = false
    await Promise.all(running)
  }
}

test('When all slots of the password hashing are occupied after a login was checked, then it succeeds and the old hash stays', async () => {
  const keys = createSigningKeys(opened.database)
  const before = await opened.database.user.findUniqueOrThrow({ where: { email: EMAIL } })
  const tokens = await whileHashingIsBusy((takePlaces) =>
    logIn(accountsWith({ all: () => (takePlaces(), keys.all()) }), { email: EMAIL, password: PASSWORD }),
  )
  expect(tokens.accessToken).toEqual(expect.any(String))
  const after = await opened.database.user.findUniqueOrThrow({ where: { email: EMAIL } })
  expect(after.passwordHash).toBe(before.passwordHash)
})

test('When the password is changed while a login with the old one renews its hash, then the new password stays', async () => {
  const keys = createSigningKeys(opened.database)
  const person = { email: 'somebody-else@example.com', name: 'Somebody else', verifiedAt: new Date() }
  const { id } = await opened.owner.user.create({ data: { ...person, passwordHash: await oldHash() } })
  const passwordHash = await hashPassword('a new passphrase of somebody else')
  const changeOnceSessionIsOpen = async () => {
    if ((await opened.owner.session.count({ where: { userId: id } })) > 0)
      await opened.owner.user.update({ where: { id }, data: { passwordHash } })
    return keys.all()
  }
  await logIn(accountsWith({ all: changeOnceSessionIsOpen }), { email: person.email, password: PASSWORD })
  expect((await opened.database.user.findUniqueOrThrow({ where: { id } })).passwordHash).toBe(passwordHash)
})

test('When the signing keys cannot be read after a refresh was committed, then its repetition gets the committed token', async () => {
  const keys = createSigningKeys(opened.database)
  const { refreshToken } = await logIn(accountsWith(), { email: EMAIL, password: PASSWORD })
  const failing = accountsWith({ all: () => Promise.reject(new Error('The connection is closed')), find: keys.find })
  await expect(refreshSession(failing, refreshToken)).rejects.toThrow('The connection is closed')
  const repeated = await refreshSession(accountsWith(), refreshToken)
  expect(await opened.database.refreshTokenBlacklist.count()).toBe(1)
  const next = await refreshSession(accountsWith(), repeated.refreshToken)
  expect(next.sessionId).toBe(repeated.sessionId)
  expect(await opened.database.refreshTokenBlacklist.count()).toBe(2)
})

async function replaceSigningKeys(): Promise<void> {
  await forgetOtherSigningKeys(opened.database, await addSigningKey(opened.database))
}

test('When the signing keys are replaced after the answer to a refresh was lost, then its repetition gets a token, each time the same', async () => {
  const { refreshToken, sessionId } = await logIn(accountsWith(), { email: EMAIL, password: PASSWORD })
  const lost = await refreshSession(accountsWith(), refreshToken)
  await replaceSigningKeys()
  const repeated = await refreshSession(accountsWith(), refreshToken)
  expect((await refreshSession(accountsWith(), refreshToken)).refreshToken).toBe(repeated.refreshToken)
  expect(repeated.refreshToken).not.toBe(lost.refreshToken)
  expect((await refreshSession(accountsWith(), repeated.refreshToken)).sessionId).toBe(sessionId)
})

test('When two clients share a session while the signing keys are replaced, then neither can replace the token repeatedly', async () => {
  const { refreshToken: shared } = await logIn(accountsWith(), { email: EMAIL, password: PASSWORD })
  const { refreshToken: other } = await refreshSession(accountsWith(), shared)
  await replaceSigningKeys()
  await refreshSession(accountsWith(), shared)
  await refreshSession(accountsWith(), other)
  await expect(refreshSession(accountsWith(), shared)).rejects.toMatchObject({ code: 'refresh_token_invalid' })
})

test('When the password is changed and the signing keys are replaced, then an earlier token gets no successor', async () => {
  const { refreshToken, sessionId } = await logIn(accountsWith(), { email: EMAIL, password: PASSWORD })
  await refreshSession(accountsWith(), refreshToken)
  const { userId } = await opened.database.session.findUniqueOrThrow({ where: { id: sessionId } })
  await opened.database.$transaction((tx) => renewSession(tx, accountsWith(), { userId, sessionId }))
  await replaceSigningKeys()
  await expect(refreshSession(accountsWith(), refreshToken)).rejects.toMatchObject({ code: 'refresh_token_invalid' })
})

test('When Retry-After or a timeout of the database grows, then the grace period of refresh tokens stays above both requests', () => {
  expect(readFileSync(new URL('../../SECURITY.md', import.meta.url), 'utf8')).toContain(`Within ${GRACE_SECONDS} s of its exchange`)
  expect(GRACE_SECONDS).toBeGreaterThan(RETRY_AFTER_SECONDS + (2 * (LONGEST_TRANSACTION_MS + 2 * LONGEST_STATEMENT_MS)) / 1000)
})
