// Guesses of a password by somebody who has a session of the account, or varies the notation of its address.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { bearer, loggedIn, newPerson, post, registered } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'

let backend: Backend
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { RATE_LIMIT_FAILURES: '3' } })
})
afterAll(() => backend?.stop())

/** Extends the pauses that have started: on a busy machine the next requests may take longer than a pause of 5 s. */
const holdPauses = () => backend.database.query(`UPDATE rate_limits SET expire = $1 WHERE key LIKE 'pause:%'`, [Date.now() + 600_000])

test('When the current password is guessed with a session, then guessing slows down, and the password stays', async () => {
  const person = await registered(backend)
  const { accessToken } = await loggedIn(backend.apiUrl, person)
  const change = async (currentPassword: string) => {
    const body = { currentPassword, newPassword: 'the passphrase of a thief' }
    return (await post(backend.apiUrl, '/api/auth/change-password', body, bearer(accessToken))).status
  }
  // Three free guesses, and the one that starts the pause.
  for (let guess = 0; guess < 4; guess += 1) expect(await change(`guess ${guess}`)).toBe(403)
  await holdPauses()
  expect(await change('guess 5')).toBe(429)
  expect(await change(person.password)).toBe(429)
  await loggedIn(backend.apiUrl, person)
})

test('When each guess writes the email address with other capital letters, then guessing slows down as well', async () => {
  const { email } = newPerson()
  const guess = async (index: number) => {
    const spelling = `${email.slice(0, index)}${email.charAt(index).toUpperCase()}${email.slice(index + 1)}`
    return (await post(backend.apiUrl, '/api/auth/login', { email: spelling, password: 'a guess' })).status
  }
  // Three free guesses, and the one that starts the pause.
  for (const index of [0, 1, 2, 3]) expect(await guess(index)).toBe(401)
  await holdPauses()
  expect(await guess(4)).toBe(429)
})
