// The outbox of account mails, its senders, and rows that tests of it need.
import type pg from 'pg'
import { pino } from 'pino'
import { addMail, type MailRequest } from '../../accounts/mail-outbox.ts'
import { startMailSender, type MailSender } from '../../accounts/mail-sender.ts'
import type { Database } from '../../platform/database.ts'
import { smtpMailer } from '../../platform/mailer.ts'
import { HASH } from './account-rows.ts'
import { eventually } from './eventually.ts'
import type { MailServer } from './mail-server.ts'

interface MailRow {
  kind: string
  recipient: string
  attempts: number
  outcome: string
}

const logger = pino({ level: 'silent' })

/** @param opened returns, when a test runs, the product's database, a client of the owner of its tables, and the mail server */
export function mailOutbox(opened: () => { database: Database; sql: pg.Client; server: MailServer }) {
  const senders: MailSender[] = []
  return {
    add: (request: MailRequest): Promise<void> => addMail(opened().database, request),

    user: (email: string, verified: boolean): Promise<unknown> =>
      opened().sql.query('INSERT INTO users (email, name, password_hash, verified_at) VALUES ($1, $2, $3, CASE WHEN $4 THEN now() END)', [
        email,
        'A',
        HASH,
        verified,
      ]),

    /** Starts what each API process runs to send mails. */
    startSender(url = opened().server.url): MailSender {
      const sender = startMailSender({
        database: opened().database,
        mailer: smtpMailer(url, { from: 'caly <no-reply@example.com>', logger }),
        publicUrl: 'https://calls.example.com',
        pauses: { firstMs: 1, maxMs: 5 },
        logger,
      })
      senders.push(sender)
      return sender
    },

    async stopSenders(): Promise<void> {
      await Promise.all(senders.splice(0).map((sender) => sender.stop()))
    },

    /** Waits until all mails have ended. */
    ended: (): Promise<MailRow[]> =>
      eventually('all mails to end', async () => {
        const { rows } = await opened().sql.query<MailRow>(
          'SELECT kind, recipient, attempts, outcome FROM account_mails ORDER BY created_at, recipient',
        )
        return rows.every(({ outcome }) => outcome) && rows
      }),
  }
}
