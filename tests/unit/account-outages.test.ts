// Password checks and tokens while all hashing slots are taken, or while the signing keys cannot be read.
import { expect, test } from '@jest/globals'
import { randomBytes, randomUUID } from 'node:crypto'
import { signAccessToken, verifyAccessToken } from '../../accounts/access-tokens.ts'
import { hashPassword, verifyPassword } from '../../accounts/passwords.ts'
import type { SigningKey, SigningKeys } from '../../accounts/signing-keys.ts'

const PASSWORD = 'a long passphrase of somebody'
const PLACES = 4 + 64

test('When too many passwords are being hashed, then further checks are refused, for an address without an account as well', async () => {
  const stored = await hashPassword(PASSWORD)
  expect(await verifyPassword(undefined, PASSWORD)).toMatchObject({ isCorrect: false })
  const running = Array.from({ length: PLACES }, (_, i) => hashPassword(`${PASSWORD} ${i}`))
  // The check without an account takes a slot like the other one, so that its time does not show that there is no account.
  for (const hash of [stored, undefined])
    await expect(verifyPassword(hash, PASSWORD)).rejects.toMatchObject({ code: 'busy', retryAfterSeconds: 2 })
  await Promise.all(running)
  expect(await verifyPassword(stored, PASSWORD)).toEqual({ isCorrect: true, needsRehash: false })
})

test('When the signing keys cannot be read, then a token is not reported as invalid, because its owner would log out', async () => {
  const random = (): Uint8Array => new Uint8Array(randomBytes(32))
  const key: SigningKey = {
    kid: 'k',
    accessTokenKey: random(),
    invitationKey: random(),
    refreshTokenKey: random(),
    csrfKey: random(),
    cursorKey: random(),
  }
  const keys: SigningKeys = { all: async () => [key], find: async () => key }
  const token = await signAccessToken(keys, { userId: randomUUID(), sessionId: randomUUID() })
  const outage = new Error('The connection is closed')
  await expect(verifyAccessToken({ ...keys, find: () => Promise.reject(outage) }, token)).rejects.toBe(outage)
})
