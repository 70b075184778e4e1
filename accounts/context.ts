import type { Database } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'
import type { Mailer } from '../platform/mailer.ts'
import type { MailSender } from './mail-sender.ts'
import type { Role } from './roles.ts'
import type { SigningKeys } from './signing-keys.ts'

/** The services and settings that account operations need. */
export interface AccountsContext {
  database: Database
  keys: SigningKeys
  /** Sends the mails of the outbox through `mailer`. */
  mails: MailSender
  mailer: Mailer
  logger: Logger
  /** Number of mails that one client address may request per day. */
  mailsPerSource: number
  registration: 'open' | 'invite' | 'closed'
  /** A session ends after this time. */
  sessionDays: number
  /** A session ends after this time without a refresh. */
  sessionIdleDays: number
  /** The base URL of links in mails. Never taken from a request. */
  publicUrl: string
}

export interface Identity {
  sessionId: string
  userId: string
  email: string
  name: string
  role: Role
}

/** The tokens that a client receives from login and refresh. */
export interface Tokens {
  sessionId: string
  accessToken: string
  refreshToken: string
  /** For browsers. Each CSRF token of a session is valid until the session ends. */
  csrfToken: string
}
