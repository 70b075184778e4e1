// How many account mails an address, a mailbox and a source get.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { pino } from 'pino'
import { addHeldBackMail, addMail, mailAllowed, type MailRequest } from '../../accounts/mail-outbox.ts'
import { mailOutbox } from '../support/mail-outbox.ts'
import { startMailServer, type MailServer } from '../support/mail-server.ts'
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

const limiter = { logger: pino({ level: 'silent' }), mailsPerSource: 20 }
const allowed = (request: MailRequest): Promise<boolean> => opened.database.$transaction((tx) => mailAllowed(tx, limiter, request))

describe('Limits', () => {
  const reset = (to: string, source: string): MailRequest => ({ kind: 'password_reset', to, source })
  const requestMail = (request: MailRequest): Promise<boolean> =>
    opened.database.$transaction(
      async (tx) => {
        const may = await mailAllowed(tx, limiter, request)
        if (may) await addMail(tx, request)
        return may
      },
      { timeout: 20_000 },
    )

  test('When thirty requests arrive at the same time, then exactly as many as the limit are allowed', async () => {
    const request = (i: number) => requestMail(reset('a@example.com', `192.0.2.${i}`))
    const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => request(i)))
    expect(answers.filter(Boolean)).toHaveLength(3)
  })

  test('When one source has used up its part of a limit, then others are still allowed, and each kind has its own count', async () => {
    for (let i = 0; i < 2; i += 1) await add(reset('a@example.com', 'one'))
    expect(await allowed(reset('a@example.com', 'one'))).toBe(false)
    expect(await allowed(reset('a@example.com', 'other'))).toBe(true)
    expect(await allowed(reset('b@example.com', 'one'))).toBe(true)
    expect(await allowed({ kind: 'password_changed', to: 'a@example.com' })).toBe(true)
  })

  test('When the window of 15 minutes is over, then mails are allowed again', async () => {
    for (let i = 0; i < 3; i += 1) await add(reset('a@example.com', `source ${i}`))
    await sql.query(`UPDATE account_mails SET created_at = now() - interval '14 minutes'`)
    expect(await allowed(reset('a@example.com', 'other'))).toBe(false)
    await sql.query(`UPDATE account_mails SET created_at = now() - interval '16 minutes'`)
    expect(await allowed(reset('a@example.com', 'other'))).toBe(true)
  })

  test('When the clock of the database was a day ahead and has been corrected, then mails of that day do not count', async () => {
    for (let i = 0; i < 30; i += 1) await addMail(opened.database, reset('a@example.com', `${i % 2}`))
    expect(await allowed(reset('a@example.com', '1'))).toBe(false)
    await sql.query(`UPDATE account_mails SET created_at = created_at + interval '1 day'`)
    expect(await allowed(reset('a@example.com', '1'))).toBe(true)
  })

  test('When a stranger requests resets for addresses without an account, then they do not count for other addresses of that mailbox', async () => {
    await user('owner@example.com', true)
    for (const tag of ['a', 'a', 'b', 'b', 'c', 'c', 'd', 'd']) await add(reset(`owner+${tag}@example.com`, `stranger ${tag}`))
    startSender()
    expect(new Set((await ended()).map(({ outcome }) => outcome))).toEqual(new Set(['dropped']))
    expect(await allowed(reset('owner@example.com', 'stranger a'))).toBe(true)
    expect(await allowed(reset('owner+a@example.com', 'stranger a'))).toBe(true)
  })

  test('When resets are held back, then they are never sent, and count for their source only', async () => {
    await user('a@example.com', true)
    for (let i = 0; i < 20; i += 1) await addHeldBackMail(opened.database, reset('a@example.com', 'one'))
    await add({ kind: 'welcome', to: 'b@example.com' })
    startSender()
    await ended()
    expect(server.received.map((mail) => /To: (\S+)/.exec(mail)![1])).toEqual(['b@example.com'])
    expect(await allowed(reset('a@example.com', 'other'))).toBe(true)
    expect(await allowed(reset('a@example.com', 'one'))).toBe(false)
  })

  test('When subaddresses of a mailbox have used up its limit, then the plain address still gets its own mails', async () => {
    const registration = (to: string, source: string): MailRequest => ({ kind: 'verification', to, source })
    for (let i = 0; i < 5; i += 1) await add(registration(`second+${i}@example.com`, `stranger ${i % 2}`))
    expect(await allowed(registration('second+other@example.com', 'other'))).toBe(false)
    expect(await allowed(registration('second@example.com', 'stranger 0'))).toBe(true)
    for (let i = 0; i < 5; i += 1) await add(registration('second@example.com', `source ${i}`))
    expect(await allowed(registration('second@example.com', 'other'))).toBe(false)
  })

  test.each(['refused', 'expired'])(
    'When mails were %s, then they do not count for the recipient, but for their source',
    async (outcome) => {
      for (let i = 0; i < 20; i += 1) await add(reset('a@example.com', 'one'))
      await sql.query('UPDATE account_mails SET ended_at = now(), outcome = $1', [outcome])
      expect(await allowed(reset('a@example.com', 'other'))).toBe(true)
      expect(await allowed(reset('a@example.com', 'one'))).toBe(false)
    },
  )

  test('When one source requests mails to addresses of one mailbox, then it can use up only a part of the mailbox’s limit', async () => {
    for (let i = 0; i < 3; i += 1) await add({ kind: 'verification', to: `a+${i}@example.com`, source: 'one' })
    expect(await allowed({ kind: 'verification', to: 'a+other@example.com', source: 'one' })).toBe(false)
    expect(await allowed({ kind: 'verification', to: 'a+other@example.com', source: 'other' })).toBe(true)
  })

  test('When resets go to a subaddress, then other subaddresses still get theirs, up to the mailbox’s limit', async () => {
    for (let i = 0; i < 3; i += 1) await add(reset('a+one@example.com', `source ${i}`))
    expect(await allowed(reset('a+one@example.com', 'other'))).toBe(false)
    expect(await allowed(reset('a+two@example.com', 'other'))).toBe(true)
    for (let i = 3; i < 6; i += 1) await add(reset('a+two@example.com', `source ${i}`))
    expect(await allowed(reset('a+three@example.com', 'other'))).toBe(false)
    expect(await allowed(reset('a@example.com', 'other'))).toBe(true)
  })

  test.each([
    ['f.irst@gmail.com', 'fi.rst@gmail.com', false],
    ['f.irst@gmail.com', 'fi.r.st+list@googlemail.com', false],
    ['f.irst@example.com', 'fi.rst@example.com', true],
    ['+one@example.com', '+two@example.com', true],
  ])('When %s has used up the limit of its mailbox, then another mail to %s is allowed: %s', async (to, other, may) => {
    for (let i = 0; i < 5; i += 1) await add({ kind: 'verification', to, source: `source ${i}` })
    expect(await allowed({ kind: 'verification', to: other, source: 'other' })).toBe(may)
  })

  test('When resets are requested all day, then an address gets ten, and one source can request three of them', async () => {
    const addAnHourAgo = async (source: string): Promise<void> => {
      await add(reset('a@example.com', source))
      await sql.query(`UPDATE account_mails SET created_at = now() - interval '1 hour'`)
    }
    for (let i = 0; i < 3; i += 1) await addAnHourAgo('one')
    expect(await allowed(reset('a@example.com', 'one'))).toBe(false)
    expect(await allowed(reset('a@example.com', 'other'))).toBe(true)
    for (let i = 3; i < 10; i += 1) await addAnHourAgo(`source ${i}`)
    expect(await allowed(reset('a@example.com', 'other'))).toBe(false)
    await sql.query(`UPDATE account_mails SET created_at = now() - interval '25 hours'`)
    expect(await allowed(reset('a@example.com', 'one'))).toBe(true)
  })

  test.each(['password_reset', 'verification'] as const)(
    'When one source requests mails of kind %s to many recipients, then it gets twenty a day, whether they have accounts or not',
    async (kind) => {
      for (let i = 0; i < 20; i += 1) await add({ kind, to: `p${i}@example.com`, source: 'one' })
      startSender()
      expect((await ended()).every(({ outcome }) => outcome === 'dropped')).toBe(true)
      const request: MailRequest = { kind, to: 'other@example.com', source: 'one' }
      expect(await allowed(request)).toBe(false)
      expect(await allowed({ ...request, source: 'other' })).toBe(true)
      expect(await allowed({ ...request, kind: kind === 'verification' ? 'password_reset' : 'verification' })).toBe(true)
      await sql.query(`UPDATE account_mails SET created_at = now() - interval '25 hours'`)
      expect(await allowed(request)).toBe(true)
    },
  )

  test('When one source requests mails to thirty recipients at the same time, then exactly as many as the limit are allowed', async () => {
    const request = (i: number) => requestMail(reset(`p${i}@example.com`, 'one'))
    const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => request(i)))
    expect(answers.filter(Boolean)).toHaveLength(20)
  })
})
