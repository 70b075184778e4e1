// Clean-up after it was paused for a long time.
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import pg from 'pg'
import { CLEAN_UP_KINDS } from '../../contracts/maintenance.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'

const HASH = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA'
/** Refreshes in 30 days, one every 15 min: of a client that is always open, and of a person who works 8 hours on 22 days. */
const REFRESHES_DAY_AND_NIGHT = 2880
const REFRESHES_OF_A_PERSON = 704
const REFRESHES_A_STATEMENT = 60
const ACCOUNTS = 10_000

let bench: Workbench
let sql: pg.Client
beforeEach(async () => {
  bench = await openWorkbench()
  sql = new pg.Client({ connectionString: bench.databaseUrl })
  await sql.connect()
})
afterEach(async () => {
  await sql?.end()
  await bench?.close()
})

/** Fills a table without indexes and foreign keys, which is faster for millions of rows. Triggers are disabled so that expired rows stay. */
async function withoutIndexes(table: string, fill: () => Promise<void>): Promise<void> {
  await sql.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`)
  const { rows: keys } = await sql.query<{ name: string; definition: string }>(
    `SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'f'`,
    [table],
  )
  const { rows: indexes } = await sql.query<{ name: string; definition: string }>(
    `SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE tablename = $1 AND indexname NOT LIKE '%_pkey'`,
    [table],
  )
  for (const { name } of keys) await sql.query(`ALTER TABLE ${table} DROP CONSTRAINT ${name}`)
  for (const { name } of indexes) await sql.query(`DROP INDEX ${name}`)
  const startedAt = performance.now()
  await fill()
  console.log(`${await count(table)} rows in ${table} after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
  await sql.query(`SET maintenance_work_mem = '512MB'`)
  for (const { definition } of indexes) await sql.query(definition)
  for (const { name, definition } of keys) await sql.query(`ALTER TABLE ${table} ADD CONSTRAINT ${name} ${definition} NOT VALID`)
  await sql.query(`ALTER TABLE ${table} ENABLE TRIGGER USER`)
}

async function insertAccounts(count: number): Promise<void> {
  await sql.query(
    `INSERT INTO users (email, name, password_hash, verified_at) SELECT 'p' || i || '@example.com', 'P', $1, now() FROM generate_series(1, $2::int) AS i`,
    [HASH, count],
  )
}

/** Inserts a session for each account that ends at this time. */
async function insertSessions(ends: string): Promise<void> {
  await sql.query(
    `INSERT INTO sessions (user_id, refresh_hash, refresh_expires_at, expires_at)
     SELECT id, encode(sha256((id::text || $1)::bytea), 'hex'), now() + $1::interval, now() + $1::interval FROM users`,
    [ends],
  )
}

/** Inserts rows in the order of their times, so that the rows of one session are far apart in the table. */
async function insertRefreshes(refreshes: number, ends: string): Promise<void> {
  for (let from = 1; from <= refreshes; from += REFRESHES_A_STATEMENT)
    await sql.query(
      `INSERT INTO refresh_token_blacklist (token_hash, session_id, user_id, reason, expires_at)
       SELECT md5(s.id::text || t) || md5(t || s.id::text), s.id, s.user_id, 'rotated', s.expires_at
       FROM generate_series($1::int, $2::int) AS t, sessions s
       WHERE s.expires_at BETWEEN now() + $3::interval - interval '2 hours' AND now() + $3::interval + interval '2 hours'`,
      [from, Math.min(refreshes, from + REFRESHES_A_STATEMENT - 1), ends],
    )
}

async function cleanUpAll(): Promise<Record<string, string>> {
  const figures: Record<string, string> = {}
  for (const kind of CLEAN_UP_KINDS) {
    const startedAt = performance.now()
    const rows = await bench.run('cleanUp', kind)
    figures[kind] = `${rows} rows, ${((performance.now() - startedAt) / 1000).toFixed(1)} s`
  }
  return figures
}

const count = async (table: string): Promise<number> =>
  Number((await sql.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`)).rows[0]!.n)

test('When 500 sessions with 2,880 refreshes each have expired, then all rows are deleted', async () => {
  await insertAccounts(500)
  await withoutIndexes('refresh_token_blacklist', async () => {
    await insertSessions('-1 day')
    await insertRefreshes(REFRESHES_DAY_AND_NIGHT, '-1 day')
  })
  console.log(await cleanUpAll())
  expect([await count('sessions'), await count('refresh_token_blacklist')]).toEqual([0, 0])
})

/** The sessions of the first 30 days expired 30 days ago, those of the next 30 days an hour ago. */
test(`When clean-up was paused for 60 days with ${ACCOUNTS} active accounts, then it completes, and open sessions stay`, async () => {
  await insertAccounts(ACCOUNTS)
  await withoutIndexes('refresh_token_blacklist', async () => {
    for (const ends of ['-30 days', '-1 hour', '29 days']) await insertSessions(ends)
    for (const ends of ['-30 days', '-1 hour']) await insertRefreshes(REFRESHES_OF_A_PERSON, ends)
    await insertRefreshes(32, '29 days')
  })
  await sql.query(`INSERT INTO rate_limits SELECT 'general:' || i, 1, i FROM generate_series(1, $1::int * 10) AS i`, [ACCOUNTS])
  console.log(await cleanUpAll())
  expect([await count('sessions'), await count('refresh_token_blacklist')]).toEqual([ACCOUNTS, ACCOUNTS * 32])
})
