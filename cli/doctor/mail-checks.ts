import { pino } from 'pino'
import { smtpMailer } from '../../platform/mailer.ts'
import { fault, messageOf, ok, skipped, type CheckGroup, type Verdict } from './check.ts'

/** Connects and authenticates. Sends no mail. */
export const mailChecks: CheckGroup<'SMTP_URL' | 'MAIL_FROM'> = {
  names: ['mail'],
  needs: ['SMTP_URL', 'MAIL_FROM'],
  async run({ SMTP_URL: url, MAIL_FROM: from }, { check }) {
    await check('mail', async () => {
      if (url === undefined) return skipped('SMTP_URL is not set: no mail is sent, and passwords cannot be reset by mail.')
      return ok(`${await smtpMailer(url, { from, logger: pino({ level: 'silent' }) }).check()}.`)
    })
  },
  explain: explainMail,
}

function explainMail(error: unknown): Verdict {
  const { code, responseCode } = error as { code?: string; responseCode?: number }
  // The response of a server may repeat what it got, so only its code is shown.
  if (code === 'EAUTH')
    return fault(`The mail server rejects the user or the password (${responseCode ?? code}): correct SMTP_URL.`, 'SMTP_URL')
  if (code === 'ETLS') return fault(`The mail server offers no usable TLS: correct the scheme or the port in SMTP_URL.`, 'SMTP_URL')
  if (responseCode !== undefined) return fault(`The mail server refuses the connection with ${responseCode}: check SMTP_URL.`, 'SMTP_URL')
  return fault(`The mail server cannot be reached: ${messageOf(error)}. Check host and port in SMTP_URL.`, 'SMTP_URL')
}
