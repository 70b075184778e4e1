// The outbox of account mails, which are sent through a real SMTP server.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { pino } from 'pino'
import { startMailSender } from '../../accounts/mail-sender.ts'
import { freePort } from '../../dev/ports.ts'
import { disabledMailer } from '../../platform/mailer.ts'
import { tokenIn } from '../support/accounts.ts'
import { eventually } from '../support/eventually.ts'
import { mailOutbox } from '../support/mail-outbox.ts'
import { startMailServer, type MailServer, type Refusal } from '../support/mail-server.ts'
import { openDatabase, type OpenDatabase } from '../support/servers.ts'

let opened: OpenDatabase
let sql: pg.Client
let server: MailServer
beforeAll(async () => {
  opened = await openDatabase(10)
  sql = new pg.Client({ connectionString: opened.url })
  await sql.connect()
})
afterAll(async () => {
  await sql?.end()
  await opened?.close()
})

const { add, ended, startSender, stopSenders, user } = mailOutbox(() => ({ database: opened.database, sql, server }))

beforeEach(async () => {
  await sql.query('TRUNCATE users, account_mails CASCADE')
  server = await startMailServer()
})
afterEach(async () => {
  server.release()
  await stopSenders()
  await server.close()
})

describe('Sending', () => {
  test('When the process that added a mail exits after its commit, then another process sends the mail', async () => {
    await add({ kind: 'password_changed', to: 'a@example.com' })
    startSender()
    expect(await ended()).toEqual([{ kind: 'password_changed', recipient: 'a@example.com', attempts: 1, outcome: 'sent' }])
    expect(server.received).toHaveLength(1)
  })

  test('When a process exits while it sends a mail, then another process sends it after the claim has expired', async () => {
    await add({ kind: 'password_changed', to: 'a@example.com' })
    await sql.query(`UPDATE account_mails SET attempts = 1, next_attempt_at = now() + interval '2 minutes'`)
    const sender = startSender()
    await add({ kind: 'welcome', to: 'b@example.com' })
    sender.kick()
    await eventually('the other mail to be sent', async () => {
      const { rowCount } = await sql.query(`SELECT FROM account_mails WHERE recipient = 'b@example.com' AND outcome = 'sent'`)
      return rowCount === 1
    })
    expect(server.received).toHaveLength(1)
    await sql.query(`UPDATE account_mails SET next_attempt_at = now() WHERE ended_at IS NULL`)
    sender.kick()
    expect((await ended()).map(({ attempts }) => attempts)).toEqual([2, 1])
  })

  test('When the mail server is unavailable, then mails wait, and are sent once when it is available again', async () => {
    const port = await freePort(0)
    startSender(`smtp://127.0.0.1:${port}`)
    await add({ kind: 'password_changed', to: 'a@example.com' })
    await eventually('some attempts', async () => (await sql.query('SELECT FROM account_mails WHERE attempts > 2')).rowCount === 1)
    const back = await startMailServer(port)
    expect(await ended()).toMatchObject([{ outcome: 'sent' }])
    expect(back.received).toHaveLength(1)
    await back.close()
  })

  test('When the mail server responds with a temporary failure, then the mail is sent again with the same id', async () => {
    server.refusals.push({ at: 'DATA', code: 451 }, { at: 'DATA', code: 421 })
    await add({ kind: 'password_changed', to: 'a@example.com' })
    startSender()
    expect(await ended()).toMatchObject([{ attempts: 3, outcome: 'sent' }])
    expect(new Set(server.received.map((mail) => /Message-ID: (\S+)/i.exec(mail)![1])).size).toBe(1)
  })

  test.each<[number, string]>([
    [550, '5.1.1 No such user'],
    [551, '5.1.6 The user has moved'],
    [553, '5.1.3 Bad address'],
    [550, '5.1.10 The domain takes no mails'],
    [550, '5.2.1 The mailbox is disabled'],
  ])('When the mail server refuses the recipient with %i %s, then the mail is not sent again', async (code, text) => {
    server.refusals.push({ at: 'RCPT TO', code, text })
    await add({ kind: 'password_changed', to: 'a@example.com' })
    startSender()
    expect(await ended()).toMatchObject([{ attempts: 1, outcome: 'refused' }])
    expect(server.received).toEqual([])
  })

  test.each<[Refusal['at'], number, string]>([
    ['MAIL FROM', 530, '5.7.0 Authentication required'],
    ['MAIL FROM', 550, '5.4.5 Daily quota exceeded'],
    ['MAIL FROM', 553, '5.1.8 Sender rejected'],
    ['MAIL FROM', 550, '5.1.1 No such sender'],
    ['RCPT TO', 554, '5.7.1 Relay access denied'],
    ['RCPT TO', 550, '5.7.1 Relay access denied'],
    ['RCPT TO', 550, '5.4.5 Daily quota exceeded'],
    ['RCPT TO', 550, '5.1.8 Sender rejected'],
    ['RCPT TO', 553, '5.1.7 Sender rejected'],
    ['RCPT TO', 550, 'Not accepted, without a code'],
    ['DATA', 554, 'Too many messages'],
    ['DATA', 550, '5.1.1 No such user'],
  ])('When the mail server answers %s with %i %s, then the mail is sent again', async (at, code, text) => {
    server.refusals.push({ at, code, text })
    await add({ kind: 'password_changed', to: 'a@example.com' })
    startSender()
    expect(await ended()).toMatchObject([{ attempts: 2, outcome: 'sent' }])
  })

  test('When three processes send at the same time, then each mail is sent once', async () => {
    for (let i = 0; i < 30; i += 1) await add({ kind: 'welcome', to: `p${i}@example.com` })
    for (let i = 0; i < 3; i += 1) startSender()
    expect((await ended()).every(({ attempts, outcome }) => attempts === 1 && outcome === 'sent')).toBe(true)
    expect(new Set(server.received.map((mail) => /To: (\S+)/.exec(mail)![1])).size).toBe(30)
    expect(server.received).toHaveLength(30)
  })

  test('When the delivery of one mail hangs, then the others are still sent', async () => {
    server.hold('hangs@example.com')
    await add({ kind: 'welcome', to: 'hangs@example.com' })
    for (let i = 0; i < 12; i += 1) await add({ kind: 'welcome', to: `p${i}@example.com` })
    startSender()
    await eventually('the other mails', async () => server.received.length === 12)
    server.release()
    expect((await ended()).every(({ attempts, outcome }) => attempts === 1 && outcome === 'sent')).toBe(true)
  })

  test('When PostgreSQL refuses to store the outcome of one mail, then stopping still waits for the others', async () => {
    await sql.query(`
      CREATE SEQUENCE refused_updates;
      GRANT USAGE ON SEQUENCE refused_updates TO PUBLIC;
      CREATE FUNCTION refuse_update() RETURNS TRIGGER LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM nextval('refused_updates');
        RAISE EXCEPTION 'as told';
      END $$;
      CREATE TRIGGER refuse BEFORE UPDATE ON account_mails FOR EACH ROW
        WHEN (NEW.kind = 'welcome' AND NEW.attempts = OLD.attempts) EXECUTE FUNCTION refuse_update()`)
    try {
      server.hold('slow@example.com')
      await add({ kind: 'password_changed', to: 'slow@example.com' })
      await add({ kind: 'welcome', to: 'a@example.com' })
      const sender = startSender()
      await eventually('the refusal', async () => (await sql.query('SELECT FROM refused_updates WHERE is_called')).rowCount === 1)
      const stopped = sender.stop()
      server.release()
      await stopped
      const { rows } = await sql.query(`SELECT outcome FROM account_mails WHERE kind = 'password_changed'`)
      expect(rows).toEqual([{ outcome: 'sent' }])
    } finally {
      await sql.query('DROP TRIGGER refuse ON account_mails; DROP FUNCTION refuse_update; DROP SEQUENCE refused_updates')
    }
  })

  test('When the clock of the database was ahead and has been corrected, then mails of that time are sent or expire immediately', async () => {
    await add({ kind: 'welcome', to: 'a@example.com' })
    await add({ kind: 'welcome', to: 'b@example.com' })
    await sql.query(`UPDATE account_mails SET next_attempt_at = now() + interval '23 hours'`)
    await sql.query(`UPDATE account_mails SET expires_at = now() WHERE recipient = 'b@example.com'`)
    startSender()
    expect((await ended()).map(({ outcome }) => outcome)).toEqual(['sent', 'expired'])
  })

  test('When a process is stopped, then the mails that it is sending are sent, and the others stay', async () => {
    const sender = startSender()
    await sender.stop()
    await add({ kind: 'welcome', to: 'a@example.com' })
    sender.kick()
    startSender()
    expect(await ended()).toMatchObject([{ outcome: 'sent' }])
  })

  test.each([
    ['password_reset', 16],
    ['password_changed', 24 * 60 + 1],
    ['verification', 24 * 60 + 1],
  ] as const)('When a mail of kind %s is not sent within %i minutes, then it expires', async (kind, minutes) => {
    await user('a@example.com', kind !== 'verification')
    await add({ kind, to: 'a@example.com' })
    await sql.query('UPDATE account_mails SET expires_at = expires_at - make_interval(mins => $1)', [minutes])
    startSender()
    expect(await ended()).toMatchObject([{ attempts: 0, outcome: 'expired' }])
    expect(server.received).toEqual([])
  })

  test('When no mail server is configured, then nothing is claimed', async () => {
    await add({ kind: 'welcome', to: 'a@example.com' })
    const sender = startMailSender({
      database: opened.database,
      mailer: disabledMailer(),
      publicUrl: 'https://calls.example.com',
      pauses: { firstMs: 1, maxMs: 5 },
      logger: pino({ level: 'silent' }),
    })
    sender.kick()
    await sender.stop()
    expect((await sql.query('SELECT FROM account_mails WHERE attempts = 0')).rowCount).toBe(1)
  })
})

describe('Recipients', () => {
  test.each([
    ['a reset', 'password_reset', undefined, 'dropped'],
    ['a reset', 'password_reset', false, 'dropped'],
    ['a reset', 'password_reset', true, 'sent'],
    ['a verification', 'verification', undefined, 'dropped'],
    ['a verification', 'verification', false, 'sent'],
    ['a verification', 'verification', true, 'dropped'],
  ] as const)(
    'When %s (%s) is requested for an account whose address is verified: %s, then it is %s',
    async (_what, kind, verified, outcome) => {
      if (verified !== undefined) await user('a@example.com', verified)
      await add({ kind, to: 'a@example.com' })
      startSender()
      expect(await ended()).toMatchObject([{ outcome }])
      expect(server.received).toHaveLength(outcome === 'sent' ? 1 : 0)
    },
  )

  test('When a link is mailed, then no row contains it', async () => {
    await user('a@example.com', true)
    await user('b@example.com', false)
    await add({ kind: 'password_reset', to: 'a@example.com', source: '192.0.2.1' })
    await add({ kind: 'verification', to: 'b@example.com', source: '192.0.2.1' })
    startSender()
    await ended()
    const { rows } = await sql.query(
      'SELECT to_json(m) AS mail, (SELECT json_agg(t) FROM password_reset_tokens t) AS tokens, (SELECT json_agg(u) FROM users u) AS users FROM account_mails m',
    )
    const tokens = server.received.map((mail) => tokenIn(mail.replaceAll('\r\n', '\n')))
    expect(tokens).toHaveLength(2)
    for (const secret of [...tokens, '192.0.2.1']) expect(JSON.stringify(rows)).not.toContain(secret)
  })
})
