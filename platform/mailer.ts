// The transport of mails: SMTP where it is set, files in development.
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
  /** False where no mail server is set: what needs a mail says so. */
  available: boolean
  /**
   * Hands a mail to the mail server, once.
   * @param id becomes its Message-ID
   */
  deliver(mail: Mail, id: string): Promise<void>
  /** Whether the next mail could go out, in words. @throws why not */
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
      return 'The mail server takes our credentials'
    },
  }
}

/** Each mail becomes a file whose path is logged: development sends nothing to anybody. */
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

/** Where nothing is set: no mail can be sent. */
export function disabledMailer(): Mailer {
  const refuse = (): Promise<never> => Promise.reject(new Error('SMTP_URL is not set'))
  return { available: false, deliver: refuse, check: refuse }
}

function envelope(from: string, mail: Mail, id: string): Mail & { from: string; messageId: string } {
  const domain = from.split('@').at(-1)!.replace(/>$/, '')
  return { ...mail, from, messageId: `<${id}@${domain}>` }
}

/** Answers that blame the recipient's address (RFC 3463). 5.1.7 and 5.1.8 blame the sender's, which some servers do at this command. */
const RECIPIENT_REFUSED = /^55[013][ -]5\.(?:1\.(?:[0-6]|10)|2\.1)\b/

/**
 * The mail server says that this recipient can get no mail. Anything else may succeed later: set-up, credentials, quota and policy
 * are corrected by whoever runs the service, and mail servers answer with 5xx to all of them.
 */
export function isPermanentMailError(error: unknown): boolean {
  const { command, response } = error as { command?: string; response?: string }
  return command === 'RCPT TO' && response !== undefined && RECIPIENT_REFUSED.test(response)
}
