// Mail: by SMTP where it is set, into a folder in development.
import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createTransport, type SentMessageInfo } from 'nodemailer'
import { withDeadline } from './deadline.ts'
import type { Logger } from './logger.ts'
import { counter } from './metrics.ts'
import { retrying, type RetryPolicy } from './retry.ts'

export interface Mail {
  to: string
  subject: string
  text: string
  /** What anybody can cause for anybody: only so many an hour. Absent: a notice that its reader must get. */
  budget?: 'registration' | 'reset'
}

export interface Post {
  /** False where no mail server is set: what needs a mail says so. */
  available: boolean
  /**
   * In the background: neither its success nor its time shows in an answer, nor whether there is a mail at all. What fails for
   * good is logged and counted.
   */
  send(mail: Mail | Promise<Mail | undefined>): void
  /** Whether the next mail could go out, in words. @throws why not */
  check(): Promise<string>
  /** Until all that were handed in are sent or have failed, but no longer; what is lost then is said. */
  idle(ms: number): Promise<void>
}

export interface PostOptions {
  from: string
  retry: RetryPolicy
  logger: Logger
  /** Nobody's mailbox is flooded through us. */
  mayReceive: (to: string, budget: NonNullable<Mail['budget']>) => Promise<boolean>
}

const mails = counter('mails_total', 'Mails by what became of them', ['result'])

/** @param smtpUrl smtp://user:password@host:587 or smtps://… */
export function smtpPost(smtpUrl: string, options: PostOptions): Post {
  const transport = createTransport({ url: smtpUrl, connectionTimeout: 5000, greetingTimeout: 5000, socketTimeout: 20_000 })
  return createPost(options, {
    deliver: async (message) => void (await transport.sendMail(message)),
    check: async () => {
      await transport.verify()
      return 'The mail server takes our credentials'
    },
  })
}

/** Each mail becomes a file whose path is logged: development sends nothing to anybody. */
export function folderPost(folder: string, options: PostOptions): Post {
  const transport = createTransport({ streamTransport: true, buffer: true, newline: 'unix' })
  return createPost(options, {
    async deliver(message) {
      const { message: bytes } = (await transport.sendMail(message)) as SentMessageInfo & { message: Buffer }
      await mkdir(folder, { recursive: true })
      const path = resolve(folder, `${new Date().toISOString().replaceAll(':', '-')}-${randomUUID().slice(0, 8)}.eml`)
      await writeFile(path, bytes, { mode: 0o600 })
      options.logger.info({ path }, 'Mail written')
    },
    async check() {
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, '.writable'), '')
      return `Mails are written to ${folder}`
    },
  })
}

/** Where nothing is set: each mail is an error in the log. */
export function noPost(logger: Logger): Post {
  return {
    available: false,
    send() {
      logger.error('Mail could not be sent: SMTP_URL is not set')
      mails.inc({ result: 'failed' })
    },
    check: () => Promise.reject(new Error('SMTP_URL is not set')),
    idle: async () => {},
  }
}

interface Delivery {
  deliver(message: Mail & { from: string; messageId: string }): Promise<void>
  check(): Promise<string>
}

function createPost({ from, retry, logger, mayReceive }: PostOptions, { deliver, check }: Delivery): Post {
  const underway = new Set<Promise<void>>()
  const domain = from.split('@').at(-1)!.replace(/>$/, '')
  async function deliverOne(handedIn: Mail | Promise<Mail | undefined>): Promise<void> {
    const mail = await handedIn
    if (!mail) return
    const { budget, ...content } = mail
    if (budget && !(await mayReceive(mail.to, budget))) {
      logger.warn({ subject: mail.subject }, 'Mail held back: its recipient has had enough of them')
      return mails.inc({ result: 'held_back' })
    }
    // The same id in each attempt, so that a mail server that took it twice delivers it once.
    const message = { ...content, from, messageId: `<${randomUUID()}@${domain}>` }
    await retrying(retry, { what: 'mail', isTransient: isTransientMailError, logger }, () => deliver(message))
    mails.inc({ result: 'sent' })
  }
  return {
    available: true,
    send(mail) {
      const sending = deliverOne(mail)
        .catch((error: unknown) => {
          logger.error({ error }, 'Mail could not be sent')
          mails.inc({ result: 'failed' })
        })
        .finally(() => underway.delete(sending))
      underway.add(sending)
    },
    check,
    async idle(ms) {
      await withDeadline(Promise.all(underway), ms).catch(() => {
        logger.error({ mails: underway.size }, 'Mails lost: the process ends before they are sent')
      })
    },
  }
}

/** No connection, or an answer of the 4xx kind: a server that asks for another try. 5xx is its last word. */
export function isTransientMailError(error: unknown): boolean {
  const { code, responseCode } = error as { code?: string; responseCode?: number }
  if (responseCode !== undefined) return responseCode >= 400 && responseCode < 500
  return ['ECONNECTION', 'ETIMEDOUT', 'ESOCKET', 'EDNS', 'ECONNREFUSED', 'ECONNRESET'].includes(code ?? '')
}
