// Transports of mails: SMTP, or files in development.
import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createTransport, type SentMessageInfo } from 'nodemailer'
import type { Logger } from './logger.ts'

export interface Mail {
  to: string
  subject: string
  text: string
}

export interface Mailer {
  /** False if no mail server is configured. Requests that need a mail then fail with `mail_unavailable`. */
  available: boolean
  /**
   * Hands a mail to the mail server, once.
   * @param id becomes its Message-ID
   */
  deliver(mail: Mail, id: string): Promise<void>
  /** @returns a sentence that says where mails go. @throws if mails cannot be sent */
  check(): Promise<string>
}

export interface MailerOptions {
  from: string
  logger: Logger
}

/** @param smtpUrl smtp://user:password@host:587 or smtps://… */
export function smtpMailer(smtpUrl: string, { from }: MailerOptions): Mailer {
  const transport = createTransport({ url: smtpUrl, connectionTimeout: 5000, greetingTimeout: 5000, socketTimeout: 20_000 })
  return {
    available: true,
    deliver: async (mail, id) => void (await transport.sendMail(envelope(from, mail, id))),
    check: async () => {
      await transport.verify()
      return 'The mail server accepts the credentials'
    },
  }
}

/** Writes each mail to a file and logs its path. Development sends no mails. */
export function folderMailer(folder: string, { from, logger }: MailerOptions): Mailer {
  const transport = createTransport({ streamTransport: true, buffer: true, newline: 'unix' })
  return {
    available: true,
    async deliver(mail, id) {
      const { message } = (await transport.sendMail(envelope(from, mail, id))) as SentMessageInfo & { message: Buffer }
      await mkdir(folder, { recursive: true })
      const path = resolve(folder, `${new Date().toISOString().replaceAll(':', '-')}-${randomUUID().slice(0, 8)}.eml`)
      await writeFile(path, message, { mode: 0o600 })
      logger.info({ path }, 'Mail written')
    },
    async check() {
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, '.writable'), '')
      return `Mails are written to ${folder}`
    },
  }
}

/** Used if no mail server is configured. */
export function disabledMailer(): Mailer {
  const refuse = (): Promise<never> => Promise.reject(new Error('SMTP_URL is not set'))
  return { available: false, deliver: refuse, check: refuse }
}

function envelope(from: string, mail: Mail, id: string): Mail & { from: string; messageId: string } {
  const domain = from.split('@').at(-1)!.replace(/>$/, '')
  return { ...mail, from, messageId: `<${id}@${domain}>` }
}

/** Responses about the recipient's address (RFC 3463). 5.1.7 and 5.1.8 concern the sender's, which some servers report at this command. */
const RECIPIENT_REFUSED = /^55[013][ -]5\.(?:1\.(?:[0-6]|10)|2\.1)\b/

/**
 * True if the mail server says that this recipient cannot receive mails. Every other error may disappear: mail servers also respond
 * with 5xx to wrong set-up, credentials, quota and policy, which operators can correct.
 */
export function isPermanentMailError(error: unknown): boolean {
  const { command, response } = error as { command?: string; response?: string }
  return command === 'RCPT TO' && response !== undefined && RECIPIENT_REFUSED.test(response)
}
