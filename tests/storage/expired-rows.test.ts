// Which rows clean-up deletes.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { deleteExpired } from '../../accounts/clean-up.ts'
import { eraseOldBodies } from '../../calls/clean-up.ts'
import { accountRows, digest, HASH } from '../support/account-rows.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
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
