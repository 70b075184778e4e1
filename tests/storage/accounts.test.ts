import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { randomBytes, randomUUID } from 'node:crypto'
import pg from 'pg'
import { createAdministrator, setActive, setRole } from '../../accounts/administration.ts'
import { deleteExpired, rotateSigningKeys } from '../../accounts/clean-up.ts'
import { createInvitation } from '../../accounts/registration.ts'
import { addSigningKey, createSigningKeys, forgetOtherSigningKeys, readSigned } from '../../accounts/signing-keys.ts'
import { eraseOldBodies } from '../../calls/clean-up.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { eventually } from '../support/eventually.ts'
import { openDatabase } from '../support/servers.ts'

const HASH = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA'
const digest = (): string => randomBytes(32).toString('hex')

let opened: Awaited<ReturnType<typeof openDatabase>>
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
beforeEach(() =>
  sql.query(
    'TRUNCATE users, account_mails, sessions, refresh_token_blacklist, password_reset_tokens, rate_limits, signing_keys, webhook_events CASCADE',
  ),
)

async function user(email = `${randomUUID()}@example.com`): Promise<string> {
  const { rows } = await sql.query<{ id: string }>('INSERT INTO users (email, name, password_hash) VALUES ($1, $2, $3) RETURNING id', [
    email,
    'A',
    HASH,
  ])
  return rows[0]!.id
}
async function session(userId: string, expires = "now() + interval '1 day'"): Promise<string> {
  const { rows } = await sql.query<{ id: string }>(
    `INSERT INTO sessions (user_id, refresh_hash, refresh_expires_at, expires_at) VALUES ($1, $2, ${expires}, ${expires}) RETURNING id`,
    [userId, digest()],
  )
  return rows[0]!.id
}
const blacklist = (sessionId: string, userId: string, expires: string): Promise<unknown> =>
  sql.query(
    `INSERT INTO refresh_token_blacklist (token_hash, session_id, user_id, reason, expires_at) VALUES ($1, $2, $3, 'rotated', ${expires})`,
    [digest(), sessionId, userId],
  )
const resetToken = (userId: string): Promise<pg.QueryResult<{ id: string; minutes: number }>> =>
  sql.query(
    `INSERT INTO password_reset_tokens (user_id, token_hash) VALUES ($1, $2)
     RETURNING id, round(extract(epoch FROM expires_at - created_at) / 60)::int AS minutes`,
    [userId, digest()],
  )
const count = async (table: string): Promise<number> =>
  Number((await sql.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`)).rows[0]!.n)

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

describe('Clean-up', () => {
  let bench: Workbench
  beforeAll(async () => {
    bench = await openWorkbench()
  })
  afterAll(() => bench?.close())

  async function fill(): Promise<void> {
    const id = await user()
    const live = await session(id)
    const dead = await session(id, "now() - interval '1 s'")
    await blacklist(live, id, "now() + interval '1 day'")
    await blacklist(dead, id, "now() + interval '1 day'")
    await resetToken(id)
    await sql.query(
      `INSERT INTO password_reset_tokens (user_id, token_hash, created_at, expires_at) VALUES ($1, $2, now() - interval '1 h', now() - interval '45 m')`,
      [id, digest()],
    )
    await sql.query(`INSERT INTO rate_limits VALUES ('a', 1, 0), ('b', 1, extract(epoch FROM now()) * 1000 + 60000)`)
  }

  test('When rows have expired, then they are deleted, and valid rows stay', async () => {
    await fill()
    for (const what of ['sessions', 'resetTokens', 'blacklist', 'rateLimits'] as const) await deleteExpired(opened.database, what, 100)
    for (const table of ['sessions', 'password_reset_tokens', 'refresh_token_blacklist', 'rate_limits'])
      expect([table, await count(table)]).toEqual([table, 1])
  })

  test('When a mail is two days old, or an address was not verified for a week, then the row is deleted', async () => {
    const mail = `INSERT INTO account_mails (kind, recipient, mailbox, expires_at, created_at) VALUES ('welcome', 'a', 'a', now(), now() - `
    await sql.query(`${mail} interval '47 hours'), ('welcome', 'a', 'a', now(), now() - interval '49 hours')`)
    const account = async (name: string, created: string, again: string | null, verified: boolean): Promise<unknown> =>
      sql.query(
        `INSERT INTO users (email, name, password_hash, created_at, registered_again_at, verified_at)
         VALUES ($1, $2, $3, now() - $4::interval, now() - $5::interval, CASE WHEN $6 THEN now() END)`,
        [`${name}@example.com`, name, HASH, created, again, verified],
      )
    await account('fresh', '6 days', null, false)
    await account('again', '8 days', '6 days', false)
    await account('verified', '8 days', '8 days', true)
    await account('old', '8 days', null, false)
    await account('old-again', '9 days', '8 days', false)
    expect(await deleteExpired(opened.database, 'mails', 100)).toEqual({ rows: 1, more: false })
    expect(await deleteExpired(opened.database, 'unverifiedAccounts', 100)).toEqual({ rows: 2, more: false })
    const { rows } = await sql.query<{ name: string }>('SELECT name FROM users ORDER BY name')
    expect(rows.map(({ name }) => name)).toEqual(['again', 'fresh', 'verified'])
  })

  test('When another transaction has locked a row, then clean-up skips it', async () => {
    const id = await user()
    const held = await session(id, "now() - interval '1 s'")
    await session(id, "now() - interval '1 s'")
    await sql.query('BEGIN')
    await sql.query('SELECT FROM sessions WHERE id = $1 FOR UPDATE', [held])
    expect(await deleteExpired(opened.database, 'sessions', 100)).toEqual({ rows: 1, more: false })
    await sql.query('COMMIT')
    expect(await count('sessions')).toBe(1)
  })

  test('When two clean-ups run at the same time, then each row is deleted once', async () => {
    const id = await user()
    for (let i = 0; i < 40; i += 1) await session(id, "now() - interval '1 s'")
    const drain = async (): Promise<number> => {
      let rows = 0
      for (let more = true; more;) {
        const batch = await deleteExpired(opened.database, 'sessions', 5)
        rows += batch.rows
        more = batch.more
      }
      return rows
    }
    const [one, other] = await Promise.all([drain(), drain()])
    expect(one + other).toBe(40)
    expect(await count('sessions')).toBe(0)
  })

  test('When a webhook event is old, then its numbers are deleted and its row stays, and an event that was not relayed keeps everything', async () => {
    const event = (identity: string, days: number, state: string): Promise<unknown> =>
      sql.query(
        `INSERT INTO webhook_events (source, route, identity, call_sid, raw_body, fields, relay_state, received_at)
         VALUES ('exotel', 'call-end', $1, 'a', 'From=919812345678', '{"From": "919812345678"}', $3, now() - make_interval(days => $2))`,
        [identity, days, state],
      )
    await event('old', 91, 'started')
    await event('young', 89, 'started')
    await event('unrelayed', 91, 'pending')
    expect(await eraseOldBodies(opened.database, 90, 100)).toBe(1)
    expect(await eraseOldBodies(opened.database, 90, 100)).toBe(0)
    const { rows } = await sql.query<{ identity: string }>(
      'SELECT identity FROM webhook_events WHERE raw_body IS NOT NULL AND fields IS NOT NULL',
    )
    expect(rows.map(({ identity }) => identity).toSorted()).toEqual(['unrelayed', 'young'])
    expect(await count('webhook_events')).toBe(3)
  })

  test('When the rows fill more than one batch, then the activity deletes all of them and returns their number', async () => {
    await bench.database.$executeRaw`INSERT INTO rate_limits SELECT 'k' || i, 1, 0 FROM generate_series(1, 1201) AS i`
    expect(await bench.run('cleanUp', 'rateLimits')).toBe(1201)
    expect(await bench.run('cleanUp', 'rateLimits')).toBe(0)
  })
})

describe('Signing keys', () => {
  /** The ids of the keys, the newest first. */
  const kids = async (): Promise<string[]> =>
    (await sql.query<{ kid: string }>('SELECT kid FROM signing_keys ORDER BY created_at DESC')).rows.map(({ kid }) => kid)

  test('When two processes start at the same time, then both know all keys', async () => {
    const [one, other] = [createSigningKeys(opened.database), createSigningKeys(opened.database)]
    const [keys] = await Promise.all([one.all(), other.all()])
    // A process that has just read the keys reads them again after a second.
    for (const { kid } of keys) await eventually('the other one to know the key', async () => (await other.find(kid))?.kid === kid)
  })

  test('When a month has passed, then there is a new key, and the old one is deleted when no session can need it', async () => {
    await rotateSigningKeys(opened.database, 30)
    expect(await count('signing_keys')).toBe(0) // without a login no key is created
    const old = await addSigningKey(opened.database)
    await rotateSigningKeys(opened.database, 30)
    expect(await count('signing_keys')).toBe(1)
    await sql.query(`UPDATE signing_keys SET created_at = now() - interval '31 days'`)
    await rotateSigningKeys(opened.database, 30)
    await rotateSigningKeys(opened.database, 30)
    const keys = createSigningKeys(opened.database)
    const [fresh] = (await keys.all()).map(({ kid }) => kid)
    expect((await keys.all()).map(({ kid }) => kid)).toEqual([expect.not.stringMatching(old), old])
    await sql.query(`UPDATE signing_keys SET created_at = now() - interval '62 days' WHERE kid = $1`, [old])
    expect(await rotateSigningKeys(opened.database, 30)).toBe(0) // the key was just replaced
    await sql.query(`UPDATE signing_keys SET created_at = now() - interval '28 days 12 hours' WHERE kid = $1`, [fresh])
    expect(await rotateSigningKeys(opened.database, 28)).toBe(0)
    expect(await rotateSigningKeys(opened.database, 27)).toBe(1)
    expect(await kids()).toEqual([fresh])
  })

  test('When sessions last a day, then a key stays until an invitation that it signed on its last day has expired', async () => {
    const old = await addSigningKey(opened.database)
    await sql.query(`UPDATE signing_keys SET created_at = now() - interval '40 days'`)
    const keys = createSigningKeys(opened.database)
    const invitation = await createInvitation({ keys }, 'guest@example.com')
    await rotateSigningKeys(opened.database, 1)
    await sql.query(`UPDATE signing_keys SET created_at = created_at - interval '6 days'`)
    await rotateSigningKeys(opened.database, 1)
    const options = { subject: 'guest@example.com' }
    expect(await readSigned(createSigningKeys(opened.database), 'invitationKey', invitation, options)).toBeDefined()
    await sql.query(`UPDATE signing_keys SET created_at = created_at - interval '3 days'`)
    expect(await rotateSigningKeys(opened.database, 1)).toBe(1)
    expect(await kids()).not.toContain(old)
  })

  test('When clean-up has not run for 100 days, then the key in use stays', async () => {
    const inUse = await addSigningKey(opened.database)
    await sql.query(`UPDATE signing_keys SET created_at = now() - interval '100 days'`)
    expect(await rotateSigningKeys(opened.database, 30)).toBe(0)
    expect(await kids()).toContain(inUse)
    expect(await kids()).toHaveLength(2)
  })

  test('When a key was made while the clock was a year ahead, then it is replaced after a month and deleted like the others', async () => {
    const key = await addSigningKey(opened.database)
    await sql.query(`UPDATE signing_keys SET created_at = now() + interval '1 year'`)
    const { rows: before } = await sql.query('SELECT kid, secret FROM signing_keys')
    await rotateSigningKeys(opened.database, 30)
    expect((await sql.query('SELECT kid, secret FROM signing_keys')).rows).toEqual(before)
    await sql.query(`UPDATE signing_keys SET created_at = created_at - interval '31 days'`)
    await rotateSigningKeys(opened.database, 30)
    expect(await kids()).toEqual([expect.not.stringMatching(key), key])
    await sql.query(`UPDATE signing_keys SET created_at = created_at - interval '32 days'`)
    await rotateSigningKeys(opened.database, 30)
    expect(await kids()).not.toContain(key)
  })

  test('When a key is replaced immediately, then the others are deleted', async () => {
    await addSigningKey(opened.database)
    const fresh = await addSigningKey(opened.database)
    await forgetOtherSigningKeys(opened.database, fresh)
    expect((await createSigningKeys(opened.database).all()).map(({ kid }) => kid)).toEqual([fresh])
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
