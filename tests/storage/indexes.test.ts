import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { hash } from '@node-rs/argon2'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { deleteExpired } from '../../accounts/clean-up.ts'
import type { AccountsContext } from '../../accounts/context.ts'
import { logIn } from '../../accounts/login.ts'
import { issueResetToken, issueVerificationToken } from '../../accounts/mail-links.ts'
import { changePassword, requestPasswordReset, resetPassword } from '../../accounts/password-reset.ts'
import { register } from '../../accounts/registration.ts'
import { startMailSender } from '../../accounts/mail-sender.ts'
import { verifyAddress } from '../../accounts/verification.ts'
import { isCsrfToken } from '../../accounts/csrf-tokens.ts'
import { refreshSession } from '../../accounts/refresh-session.ts'
import { authenticate, endSessions } from '../../accounts/sessions.ts'
import { createSigningKeys } from '../../accounts/signing-keys.ts'
import { signAccessToken } from '../../accounts/access-tokens.ts'
import {
  claimEvents,
  deferEvents,
  clearRelayWaits,
  markRelayed,
  recordNoResponse,
  releaseEvents,
  type Claim,
} from '../../calls/relay-events.ts'
import { eraseOldBodies } from '../../calls/clean-up.ts'
import { sampleStoredRows, storedRowsAfter } from '../../calls/object-check.ts'
import { unknownKeys } from '../../calls/object-owners.ts'
import { recordEvent } from '../../calls/record-event.ts'
import { fillCallSearch } from '../../calls/call-search.ts'
import { readCallHistory } from '../../calls/call-history.ts'
import { listCalls, type CallFilters } from '../../calls/list-calls.ts'
import { readOverview } from '../../calls/overview.ts'
import { addAccess, findAccess, findRecordingToPlay } from '../../calls/recording-accesses.ts'
import { deletePeaksOfErasedCall, findPeaksSubject, readPeaks, recordingsWithoutPeaks, recordPeaks } from '../../calls/recording-peaks.ts'
import { type Prisma, PrismaClient } from '../../platform/generated/client.ts'
import { PrismaPg } from '@prisma/adapter-pg'
import { AccountError } from '../../accounts/errors.ts'
import { folderMailer, disabledMailer } from '../../platform/mailer.ts'
import { eventually } from '../support/eventually.ts'
import { callSid, createDatabase, openDatabase } from '../support/servers.ts'

/** So many rows that the planner does not read all of them for a few. */
const ROWS = 20_000
/** Tables that always have few rows. */
const SMALL = ['signing_keys', 'reconcile_passes', 'object_checks', 'unnest']

let created: Awaited<ReturnType<typeof createDatabase>>
let sql: pg.Client
let database: PrismaClient<'query'>
let statements: { text: string; params: string }[] = []
beforeAll(async () => {
  created = await createDatabase()
  sql = new pg.Client({ connectionString: created.url })
  await sql.connect()
  database = new PrismaClient({ adapter: new PrismaPg({ connectionString: created.url }), log: [{ emit: 'event', level: 'query' }] })
  database.$on('query', (event: Prisma.QueryEvent) => statements.push({ text: event.query, params: event.params }))
  await fill()
})
afterAll(async () => {
  await database?.$disconnect()
  await sql?.end()
  await created?.drop()
})

async function fill(): Promise<void> {
  const series = `generate_series(1, ${ROWS}) AS i`
  const hash = "encode(sha256(i::text::bytea), 'hex')"
  const passwordHash = await passwordHashed('a passphrase')
  await sql.query(
    `INSERT INTO users (email, name, password_hash, verified_at) SELECT 'p' || i || '@example.com', 'P', $1, now() FROM ${series}`,
    [passwordHash],
  )
  await sql.query(`INSERT INTO sessions (user_id, refresh_hash, refresh_expires_at, expires_at)
    SELECT u.id, encode(sha256(u.email::bytea), 'hex'), now() + interval '1 day', now() + interval '1 day' FROM users u`)
  await sql.query(`INSERT INTO refresh_token_blacklist (token_hash, session_id, user_id, reason, expires_at)
    SELECT encode(sha256(s.id::text::bytea), 'hex'), s.id, s.user_id, 'rotated', s.expires_at FROM sessions s`)
  await sql.query(
    `INSERT INTO password_reset_tokens (user_id, token_hash) SELECT u.id, encode(sha256(u.id::text::bytea), 'hex') FROM users u`,
  )
  await sql.query(`INSERT INTO account_mails (kind, recipient, mailbox, source_hash, expires_at, ended_at, outcome)
    SELECT 'welcome', 'p' || i || '@example.com', 'p' || i || '@example.com', ${hash}, now(), now(), 'sent' FROM ${series}`)
  await sql.query(`INSERT INTO rate_limits SELECT 'k' || i, 1, 9e12 FROM ${series}`)
  await sql.query(`INSERT INTO calls (call_sid, status, recording_state, recording_url, recording_error, recording_error_code, from_number, to_number,
                                      agent_number, exophone, custom_field, created_at, recording_state_since, search_filled)
    SELECT 'c' || i, 'completed', CASE WHEN i % 1000 = 0 THEN 'failed' WHEN i % 1000 = 1 THEN 'awaiting' ELSE 'stored' END,
           CASE WHEN i % 1000 > 1 THEN 'https://s3.test/' || i END, CASE WHEN i % 1000 = 0 THEN 'x' END, CASE WHEN i % 1000 = 0 THEN 'RecordingMissing' END,
           '0' || 9800000000 + i, '0' || 9700000000 + i, '91980000' || i % 100, '91804567' || i % 100, 'order ' || i, now() - make_interval(mins => i), now() - make_interval(mins => i), true
    FROM ${series}`)
  await sql.query(`INSERT INTO recordings (call_sid, source_url, state, bucket, object_key, bytes, sha256)
    SELECT 'c' || i, 'https://recordings.exotel.com/' || i, 'stored', 'b', 'k' || i, 1, ${hash} FROM ${series}`)
  await sql.query(`INSERT INTO recording_peaks (recording_id, sha256, reason) SELECT id, sha256, 'x' FROM recordings`)
  await sql.query(`INSERT INTO recording_attempts (call_sid, source_url, identity, state, error, error_code, bucket, object_key)
    SELECT 'c' || i, 'https://recordings.exotel.com/' || i, ${hash}, 'quarantined', 'cut', 'RecordingDamaged', 'b', 'q' || i FROM ${series}`)
  await sql.query(`INSERT INTO webhook_events (source, route, identity, call_sid, raw_body, relay_state, received_at)
    SELECT 'exotel', 'call-end', ${hash}, 'c' || i, 'x', 'started', now() - make_interval(mins => i) FROM ${series}`)
  await sql.query(`INSERT INTO recording_accesses (call_sid, recording_id, kind, user_id, user_email, session_id, source, link_hash, expires_at)
    SELECT 'c' || i, i, 'play', gen_random_uuid(), 'p@example.com', gen_random_uuid(), 's', ${hash}, now() FROM ${series}`)
  await sql.query(`INSERT INTO operator_actions (action, user_email, call_sid) SELECT 'retry', 'p@example.com', 'c' || i FROM ${series}`)
  await sql.query('ANALYZE')
}

/** Hashes with parameters that are out of date, so that a login hashes the password again. */
function passwordHashed(password: string): Promise<string> {
  return hash(password, { memoryCost: 8192 })
}

/** Returns the sequential scans in the server's plans of the statements that the work executes. */
async function tablesReadWhole(work: () => Promise<unknown>): Promise<string[]> {
  statements = []
  await work().catch((error: unknown) => {
    if (!(error instanceof AccountError)) throw error // an unknown token leads to the same queries
  })
  const queries = statements.filter(({ text }) => /^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)/i.test(text))
  expect(queries).not.toEqual([])
  const whole: string[] = []
  for (const { text, params } of queries) {
    const { rows } = await sql.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`, JSON.parse(params) as unknown[])
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
    for (const [, table] of plan.matchAll(/Seq Scan on (\w+)/g))
      if (!SMALL.includes(table!)) whole.push(`${table}: ${text.trim().slice(0, 80)}`)
  }
  return whole
}

const silent = pino({ level: 'silent' })
const accounts = (): AccountsContext => ({
  database,
  keys: createSigningKeys(database),
  mails: { kick: () => {}, stop: async () => {} },
  mailer: disabledMailer(),
  logger: silent,
  mailsPerSource: 20,
  registration: 'open',
  sessionDays: 30,
  sessionIdleDays: 7,
  publicUrl: 'https://calls.example.com',
})
async function useLink(): Promise<void> {
  const token = 'a-token-of-somebody'
  await sql.query(
    `INSERT INTO password_reset_tokens (user_id, token_hash) SELECT id, encode(sha256($1::text::bytea), 'hex') FROM users WHERE email = 'p78@example.com'`,
    [token],
  )
  await resetPassword(accounts(), { token, password: 'quite another passphrase' })
}
async function change(): Promise<void> {
  const password = 'the passphrase of somebody'
  const { id: userId, email } = await database.user.update({
    where: { email: 'p79@example.com' },
    data: { passwordHash: await passwordHashed(password) },
  })
  await logIn(accounts(), { email, password }) // hashes the password again
  const session = await database.session.findFirstOrThrow({ where: { userId } })
  const identity = { userId, sessionId: session.id, email, name: 'P', role: 'user' as const }
  await changePassword(accounts(), identity, { currentPassword: password, newPassword: 'quite another passphrase' })
}
const claim = (id: bigint): Claim & { reason: string } => ({ id, claimId: randomUUID(), reason: 'no answer' })
async function sendWaitingMails(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'mail-'))
  const mailer = folderMailer(folder, { from: 'caly <no-reply@example.com>', logger: silent })
  const sender = startMailSender({
    database,
    mailer,
    publicUrl: 'https://calls.example.com',
    pauses: { firstMs: 1, maxMs: 1 },
    logger: silent,
  })
  await eventually('a look into the outbox', async () => statements.some(({ text }) => text.includes('SKIP LOCKED')))
  await sender.stop()
  rmSync(folder, { recursive: true })
}
const page = (filters: CallFilters): Promise<unknown> =>
  listCalls(database, filters, { after: { time: new Date(Date.now() - 3600_000), callSid: 'c5' }, limit: 50 })
const stored = {
  callSid: callSid('c77'),
  recordingId: '77',
  bucket: 'b',
  objectKey: 'k',
  bytes: 1n,
  sha256: '',
  contentType: null,
  durationSeconds: null,
}
async function recordAndReadPeaks(): Promise<void> {
  const subject = { id: '77', callSid: callSid('c77'), key: 'k77', bytes: 1, sha256: 'a'.repeat(64) }
  await findPeaksSubject(database, { recordingId: subject.id, priority: 'listener', bucket: 'b' })
  await recordPeaks(database, subject, { kind: 'none', reason: 'x' })
  await readPeaks(database, subject.id)
}
const event = {
  callSid: callSid('c77'),
  route: 'call-end',
  ended: true,
  sources: [{ sourceUrl: 'https://recordings.exotel.com/77' }],
  status: 'completed',
} as const

test.each([
  [
    'an access token is checked',
    async () =>
      authenticate(accounts(), await signAccessToken(createSigningKeys(database), { userId: randomUUID(), sessionId: randomUUID() })),
  ],
  ['a user logs in', () => logIn(accounts(), { email: 'p77@example.com', password: 'x' })],
  ['a refresh token is used', () => refreshSession(accounts(), 'p77@example.com')],
  ['a CSRF token is checked', () => isCsrfToken(accounts(), randomUUID(), 'x')],
  ['all sessions of a user end', () => endSessions(database, { userId: randomUUID() }, 'logged_out')],
  ['a password reset is requested', () => requestPasswordReset(accounts(), { email: 'p77@example.com', source: '192.0.2.1' })],
  ['a reset link is created', () => issueResetToken(database, 'p77@example.com')],
  [
    'a user registers',
    () => register(accounts(), { email: 'p77@example.com', password: 'quite another passphrase', name: 'P', source: '192.0.2.1' }),
  ],
  ['a verification link is created', () => issueVerificationToken(database, 'p77@example.com')],
  ['a verification link is used', () => verifyAddress(accounts(), { token: 'a-token-of-somebody', password: 'x' })],
  ['mails are sent', () => sendWaitingMails()],
  ['a reset link is used', () => useLink()],
  ['a password is changed', () => change()],
  ['expired sessions are deleted', () => deleteExpired(database, 'sessions', 5)],
  ['expired reset tokens are deleted', () => deleteExpired(database, 'resetTokens', 5)],
  ['expired blacklist rows are deleted', () => deleteExpired(database, 'blacklist', 5)],
  ['expired rate limits are deleted', () => deleteExpired(database, 'rateLimits', 5)],
  ['old mails are deleted', () => deleteExpired(database, 'mails', 5)],
  ['accounts that were never verified are deleted', () => deleteExpired(database, 'unverifiedAccounts', 5)],
  ['old bodies are deleted', () => eraseOldBodies(database, 90, 5)],
  [
    'a webhook is recorded',
    () =>
      recordEvent(database, {
        source: 'exotel',
        route: 'call-end',
        identity: 'x',
        event: { ...event, sources: [...event.sources] },
        fields: {},
      }),
  ],
  ['the relay claims events', () => claimEvents(database, { fresh: 20, withoutResponse: 20 })],
  ['the relay marks events', () => markRelayed(database, { started: [claim(77n)], nothingNew: [claim(78n)] })],
  ['the relay defers events', () => deferEvents(database, [claim(77n)])],
  ['the relay records events without a response', () => recordNoResponse(database, [claim(77n)])],
  ['the relay releases events', () => releaseEvents(database, [claim(77n)])],
  ['the relay ends pauses', () => clearRelayWaits(database)],
  ['the newest calls are listed', () => listCalls(database, {}, { limit: 50 })],
  ['the next page of calls is listed', () => page({})],
  ['failed calls are listed', () => page({ state: 'failed' })],
  ['calls with a failure code are listed', () => page({ errorCode: 'RecordingMissing' })],
  ['calls of an agent are listed', () => page({ agent: '9198000077' })],
  ['calls of an ExoPhone are listed', () => page({ exophone: '9180456777' })],
  ['calls with a custom field are listed', () => page({ customField: 'order 77' })],
  ['calls of a day are listed', () => page({ from: new Date(Date.now() - 48 * 3600_000), to: new Date(Date.now() - 24 * 3600_000) })],
  ['calls are searched by a full number', () => page({ phone: '+91 98000 00077' })],
  ['calls are searched by the last digits of a number', () => page({ phone: '10077' })],
  ['one call is searched', () => page({ callSid: 'c77' })],
  ['the history of a call is read', () => readCallHistory(database, callSid('c77'))],
  ['a recording is played', () => findRecordingToPlay(database, callSid('c77'), '77')],
  [
    'a link to a recording is made',
    () => addAccess(database, stored, { userId: randomUUID(), email: '', sessionId: randomUUID(), source: '' }, 'play'),
  ],
  ['a link to a recording is used', () => findAccess(database, 'a-token-of-somebody')],
  ['the overview is read', () => readOverview(database, 30)],
  ['calls of an earlier version are filled', () => fillCallSearch(database, 500)],
  ['a sample of stored recordings is taken', () => sampleStoredRows(database, { bucket: 'b', limit: 200 })],
  ['recordings without peaks are searched', () => recordingsWithoutPeaks(database, 'b', '10000')],
  ['a recording gets its peaks', () => recordAndReadPeaks()],
  ['the peaks of an erased call are deleted', () => deletePeaksOfErasedCall(database, callSid('c77'))],
  ['all stored recordings are read in pages', () => storedRowsAfter(database, '10000', { bucket: 'b', limit: 200 })],
  [
    'a page of objects is looked up',
    () =>
      unknownKeys(
        database,
        Array.from({ length: 1000 }, (_, index) => `k${index}`),
      ),
  ],
])('When %s, then no large table is read completely', async (_what, work) => {
  expect(await tablesReadWhole(work)).toEqual([])
})

describe('When a sample of stored recordings is taken', () => {
  const sample = async () => (await sampleStoredRows(database, { bucket: 'b', limit: 200 })).map(({ id }) => Number(id))

  test('then it covers the table evenly, whatever gaps are between the ids', async () => {
    // The second half of the rows gets much greater ids. Half of an even sample is still in that half.
    await sql.query(`UPDATE recordings SET id = id + 1000000000 WHERE id > ${ROWS / 2}`)
    await sql.query('VACUUM FULL ANALYZE recordings')
    const ids = (await Promise.all([sample(), sample(), sample()])).flat()
    expect(ids).toHaveLength(600)
    for (const [from, to] of quarters()) {
      const share = ids.filter((id) => id > from && id <= to).length / ids.length
      expect(share).toBeGreaterThan(0.1)
      expect(share).toBeLessThan(0.4)
    }
  })

  test('then each sample has other rows, and none of them twice', async () => {
    const [first, second] = [await sample(), await sample()]
    expect(new Set(first).size).toBe(200)
    expect(first.filter((id) => second.includes(id)).length).toBeLessThan(100)
  })

  test('then a small table is read completely, and the sample of an empty one is empty', async () => {
    const few = await openDatabase()
    expect(await sampleStoredRows(few.database, { bucket: 'b', limit: 200 })).toEqual([])
    const row = { state: 'stored', bucket: 'b', objectKey: 'k', bytes: 1n, sha256: 'a'.repeat(64) }
    await few.database.call.create({ data: { callSid: 'c', recordings: { create: [1, 2].map((n) => ({ ...row, sourceUrl: `${n}` })) } } })
    expect(await sampleStoredRows(few.database, { bucket: 'b', limit: 200 })).toHaveLength(2)
    await few.close()
  })

  /** The range of ids of each quarter of the rows, excluding its first and including its last value. */
  function quarters(): [number, number][] {
    const far = 1_000_000_000
    return [0, 1, 2, 3].map((nth) => {
      const shift = nth < 2 ? 0 : far
      return [shift + (nth * ROWS) / 4, shift + ((nth + 1) * ROWS) / 4]
    })
  }
})

test('When an index is missing, then this test notices', async () => {
  await sql.query('DROP INDEX users_email_key')
  expect(await tablesReadWhole(() => logIn(accounts(), { email: 'p77@example.com', password: 'x' }))).not.toEqual([])
  await sql.query('CREATE UNIQUE INDEX users_email_key ON users (email)')
})

test('When thousands of events wait for a response, then new events are claimed without reading them', async () => {
  await sql.query(`UPDATE webhook_events SET relay_state = 'pending', relay_waits = CASE WHEN id % 10 = 0 THEN 0 ELSE 3 END`)
  await sql.query('ANALYZE webhook_events')
  expect(await tablesReadWhole(() => claimEvents(database, { fresh: 20, withoutResponse: 20 }))).toEqual([])
  const { rows } = await sql.query<{ 'QUERY PLAN': string }>(
    `EXPLAIN SELECT id FROM webhook_events WHERE relay_state = 'pending' AND relay_waits = 0 AND next_relay_at <= now() ORDER BY next_relay_at, id LIMIT 20`,
  )
  expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('webhook_events_relay_new_idx')
})
