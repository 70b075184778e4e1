// Two processes deliver one mail, because the claim of the first one has expired during its delivery.
import { afterAll, beforeAll, beforeEach, expect, jest, test } from '@jest/globals'
import pg from 'pg'
import { pino } from 'pino'
import { addMail, mails } from '../../accounts/mail-outbox.ts'
import { startMailSender, type MailSender } from '../../accounts/mail-sender.ts'
import { smtpMailer } from '../../platform/mailer.ts'
import { eventually } from '../support/eventually.ts'
import { startMailServer, type MailServer } from '../support/mail-server.ts'
import { openDatabase } from '../support/servers.ts'

const RECIPIENT = 'slow@example.com'
const logger = pino({ level: 'silent' })

let opened: Awaited<ReturnType<typeof openDatabase>>
let sql: pg.Client
let server: MailServer
const senders: MailSender[] = []
beforeAll(async () => {
  opened = await openDatabase(4)
  sql = new pg.Client({ connectionString: opened.url })
  await sql.connect()
  server = await startMailServer()
})
afterAll(async () => {
  server?.release()
  await Promise.all(senders.map((sender) => sender.stop()))
  await server?.close()
  await sql?.end()
  await opened?.close()
})

function startSender(): MailSender {
  const mailer = smtpMailer(server.url, { from: 'caly <no-reply@example.com>', logger })
  const pauses = { firstMs: 1, maxMs: 5 }
  const sender = startMailSender({ database: opened.database, mailer, publicUrl: 'https://calls.example.com', pauses, logger })
  senders.push(sender)
  return sender
}

async function countedAsSent(): Promise<number> {
  const { values } = await mails.get()
  return values.find(({ labels }) => labels.result === 'sent')?.value ?? 0
}

beforeEach(() => sql.query('TRUNCATE account_mails'))

test('When another process has claimed a mail during its delivery, then only that process ends and counts the mail', async () => {
  server.hold(RECIPIENT)
  await addMail(opened.database, { kind: 'welcome', to: RECIPIENT })
  const first = startSender()
  await eventually('the first claim', async () => (await sql.query('SELECT FROM account_mails WHERE attempts = 1')).rowCount === 1)
  await sql.query(`UPDATE account_mails SET attempts = 2, next_attempt_at = now() + interval '2 minutes'`) // the claim of another process
  server.release()
  await eventually('the first delivery', async () => server.received.length === 1)
  await first.stop()
  expect((await sql.query('SELECT outcome FROM account_mails')).rows).toEqual([{ outcome: null }])
  expect(await countedAsSent()).toBe(0)

  await sql.query('UPDATE account_mails SET next_attempt_at = now()')
  const second = startSender()
  await eventually('the mail to end', async () => (await sql.query(`SELECT FROM account_mails WHERE outcome = 'sent'`)).rowCount === 1)
  await second.stop()
  expect(server.received).toHaveLength(2)
  expect(await countedAsSent()).toBe(1)
})

test('When a process sends a mail, then others wait longer than a delivery can take, also if it fails after another process has claimed it', async () => {
  const isFarAhead = async () => {
    const { rows } = await sql.query(`SELECT next_attempt_at > now() + interval '1 minute' AS far, outcome FROM account_mails`)
    return rows
  }
  server.hold(RECIPIENT)
  await addMail(opened.database, { kind: 'welcome', to: RECIPIENT })
  const first = startSender()
  await eventually('the first claim', async () => (await sql.query('SELECT FROM account_mails WHERE attempts = 1')).rowCount === 1)
  expect(await isFarAhead()).toEqual([{ far: true, outcome: null }])
  await sql.query(`UPDATE account_mails SET attempts = 2, next_attempt_at = now() + interval '2 minutes'`) // the claim of another process
  const before = server.received.length
  server.refusals.push({ at: 'DATA', code: 451 })
  server.release()
  await eventually('the first delivery', async () => server.received.length > before)
  await first.stop()
  expect(await isFarAhead()).toEqual([{ far: true, outcome: null }])
})

test('When a delivery never ends, then the sender waits for it for a minute, and sends the mail again', async () => {
  const wait = globalThis.setTimeout
  const aMinuteIsShort = ((work: () => void, ms?: number) => wait(work, ms === 60_000 ? 50 : ms)) as typeof setTimeout
  const timers = jest.spyOn(globalThis, 'setTimeout').mockImplementation(aMinuteIsShort)
  let endFirst = (): void => {}
  let deliveries = 0
  const deliver = async (): Promise<void> => {
    deliveries += 1
    if (deliveries === 1) await new Promise<void>((resolve) => (endFirst = resolve))
  }
  const mailer = { available: true, deliver, check: async () => 'ready' }
  const pauses = { firstMs: 1, maxMs: 5 }
  await addMail(opened.database, { kind: 'welcome', to: RECIPIENT })
  const sender = startMailSender({ database: opened.database, mailer, publicUrl: 'https://calls.example.com', pauses, logger })
  try {
    const isSent = async () => (await sql.query(`SELECT FROM account_mails WHERE attempts = 2 AND outcome = 'sent'`)).rowCount === 1
    await eventually('the second delivery', isSent, 5000)
    expect(deliveries).toBe(2)
  } finally {
    timers.mockRestore()
    endFirst()
    await sender.stop()
  }
})
