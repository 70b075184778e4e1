// The tables of accounts refuse wrong rows, and administration changes accounts.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { createAdministrator, setActive, setRole } from '../../accounts/administration.ts'
import { addMail } from '../../accounts/mail-outbox.ts'
import { accountRows, digest, HASH } from '../support/account-rows.ts'
import { openDatabase, type OpenDatabase } from '../support/servers.ts'

let opened: OpenDatabase
let sql: pg.Client
beforeAll(async () => {
  opened = await openDatabase()
  sql = new pg.Client({ connectionString: opened.url })
  await sql.connect()
})
afterAll(async () => {
  await sql?.end()
  await opened?.close()
})

const { blacklist, clear, count, resetToken, session, user } = accountRows(() => sql)
beforeEach(clear)

describe('The schema', () => {
  test.each([
    ['an address in upper case', `INSERT INTO users (email, name, password_hash) VALUES ('A@example.com', 'A', '${HASH}')`],
    [
      'an address with non-ASCII letters that look like ASCII',
      `INSERT INTO users (email, name, password_hash) VALUES ('а@example.com', 'A', '${HASH}')`,
    ],
    ['an address with a space', `INSERT INTO users (email, name, password_hash) VALUES ('a b@example.com', 'A', '${HASH}')`],
    ['no name', `INSERT INTO users (email, name, password_hash) VALUES ('a@example.com', '', '${HASH}')`],
    ['a plaintext password', `INSERT INTO users (email, name, password_hash) VALUES ('a@example.com', 'A', 'secret')`],
    ['a role that does not exist', `INSERT INTO users (email, name, password_hash, role) VALUES ('a@example.com', 'A', '${HASH}', 'root')`],
    [
      'a session without a user',
      `INSERT INTO sessions (user_id, refresh_hash, refresh_expires_at, expires_at) VALUES (gen_random_uuid(), '${digest()}', now(), now())`,
    ],
    ['a plaintext reset token', `INSERT INTO password_reset_tokens (user_id, token_hash) SELECT id, 'token' FROM users`],
    [
      'a reset token that expires before it is created',
      `INSERT INTO password_reset_tokens (user_id, token_hash, expires_at) SELECT id, '${digest()}', now() - interval '1 s' FROM users`,
    ],
    ['a session ended without a reason', `UPDATE sessions SET ended_at = now()`],
    ['a session whose refresh token expires after the session', `UPDATE sessions SET refresh_expires_at = expires_at + interval '1 s'`],
    ['a reason that does not exist', `UPDATE sessions SET ended_at = now(), end_reason = 'bored'`],
    ['a short signing key', `INSERT INTO signing_keys (kid, secret) VALUES ('k', 'short')`],
  ])('When %s is written, then it is refused', async (_what, statement) => {
    await session(await user())
    await expect(sql.query(statement)).rejects.toThrow(/violates/)
  })

  test.each([
    [
      'a mail of a kind that does not exist',
      `INSERT INTO account_mails (kind, recipient, mailbox, expires_at) VALUES ('spam', 'a', 'a', now())`,
    ],
    ['a mail that has ended without an outcome', 'UPDATE account_mails SET ended_at = now()'],
    ['an outcome that does not exist', `UPDATE account_mails SET ended_at = now(), outcome = 'lost'`],
    ['a plaintext source', `UPDATE account_mails SET source_hash = '192.0.2.1'`],
    ['a plaintext verification link', `UPDATE users SET verification_hash = 'token', verification_expires_at = now()`],
    ['a verification link that never expires', `UPDATE users SET verification_hash = repeat('0', 64)`],
    [
      'a verified address with a link',
      `UPDATE users SET verified_at = now(), verification_hash = repeat('0', 64), verification_expires_at = now()`,
    ],
  ])('When %s is written, then it is refused', async (_what, statement) => {
    await user('a@example.com')
    await addMail(opened.database, { kind: 'verification', to: 'a@example.com' })
    await expect(sql.query(statement)).rejects.toThrow(/violates/)
  })

  test('When an address or a token is inserted twice, then the second insert is refused', async () => {
    await user('a@example.com')
    await expect(user('a@example.com')).rejects.toThrow(/users_email_key/)
  })

  test('When a reset token is created, then the database sets its expiry to 15 minutes later', async () => {
    expect((await resetToken(await user())).rows[0]!.minutes).toBe(15)
  })

  test.each(['users', 'sessions', 'password_reset_tokens'])('When a row of %s changes, then its update time is set', async (table) => {
    const id = await user()
    await session(id)
    await resetToken(id)
    await sql.query(`UPDATE ${table} SET created_at = created_at`)
    const { rows } = await sql.query<{ later: boolean }>(
      `SELECT updated_at >= created_at AND updated_at > now() - interval '1 minute' AS later FROM ${table}`,
    )
    await sql.query(`UPDATE ${table} SET updated_at = '2000-01-01'`)
    expect(rows[0]!.later).toBe(true)
    expect((await sql.query(`SELECT FROM ${table} WHERE updated_at < '2001-01-01'`)).rowCount).toBe(0)
  })

  test('When a user is deleted, then all rows that belong to it are deleted', async () => {
    const id = await user()
    await blacklist(await session(id), id, "now() + interval '1 day'")
    await resetToken(id)
    await sql.query('DELETE FROM users')
    for (const table of ['sessions', 'refresh_token_blacklist', 'password_reset_tokens']) expect(await count(table)).toBe(0)
  })

  test('When a token is blacklisted, then no expired row is read or deleted, because clean-up deletes them', async () => {
    const id = await user()
    const of = await session(id)
    for (let i = 0; i < 12; i += 1) await blacklist(of, id, "now() - interval '1 day'")
    await blacklist(of, id, "now() + interval '1 day'")
    expect(await count('refresh_token_blacklist')).toBe(13)
  })

  test('When the schema is read, then no index or trigger is missing', async () => {
    const { rows: indexes } = await sql.query(
      `SELECT indexname FROM pg_indexes WHERE tablename IN ('password_reset_tokens', 'refresh_token_blacklist') AND indexname NOT LIKE '%pkey'`,
    )
    expect(indexes).toHaveLength(7)
    const { rows: triggers } = await sql.query(
      `SELECT tgname FROM pg_trigger WHERE tgrelid IN ('password_reset_tokens'::regclass, 'refresh_token_blacklist'::regclass) AND NOT tgisinternal`,
    )
    expect(triggers).toHaveLength(1)
    const { rows: times } = await sql.query(
      `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND data_type = 'timestamp without time zone'`,
    )
    expect(times).toEqual([])
  })
})

describe('Administration', () => {
  test('When an administrator is created, then it gets a password, and if the address already had an account, its sessions end', async () => {
    const id = await user('boss@example.com')
    await session(id)
    const { password, existed } = await createAdministrator(opened.owner, 'Boss@example.com')
    expect([password, existed]).toEqual([expect.stringMatching(/^[\w-]{24}$/), true])
    const [row] = await opened.database.user.findMany({ include: { sessions: true } })
    expect(row).toMatchObject({ email: 'boss@example.com', role: 'admin', sessions: [{ endReason: 'revoked' }] })
    expect(row!.passwordHash).not.toBe(HASH)
    expect((await createAdministrator(opened.owner, 'new@example.com')).existed).toBe(false)
  })

  test('When an account is deactivated, then its sessions end', async () => {
    const id = await user('a@example.com')
    await session(id)
    expect(await setRole(opened.owner, 'A@example.com', 'operator')).toBe(true)
    expect(await setActive(opened.owner, 'a@example.com', false)).toBe(true)
    expect(await opened.database.session.findFirst()).toMatchObject({ endReason: 'revoked' })
    expect(await setActive(opened.owner, 'a@example.com', true)).toBe(true)
    expect(await setRole(opened.owner, 'nobody@example.com', 'user')).toBe(false)
    expect(await setActive(opened.owner, 'nobody@example.com', false)).toBe(false)
  })
})
