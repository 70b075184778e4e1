import type { Database } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'
import type { Mailer } from '../platform/mailer.ts'
import type { MailSender } from './mail-sender.ts'
import type { SigningKeys } from './signing-keys.ts'

/** What accounts are kept with; the API puts it together. */
export interface AccountsContext {
  database: Database
  keys: SigningKeys
  /** Sends the outbox through `mailer`. */
  mails: MailSender
  mailer: Mailer
  logger: Logger
  /** Requests for mails of one client address in a day. */
  mailsPerSource: number
  registration: 'open' | 'invite' | 'closed'
  /** A session ends after so long, or after so long without a refresh. */
  sessionDays: number
  sessionIdleDays: number
  /** Where links in mails lead; never taken from a request. */
  publicUrl: string
}

export interface Identity {
  sessionId: string
  userId: string
  email: string
  name: string
  role: 'admin' | 'operator' | 'user'
}

/** What a client gets by logging in or refreshing. */
export interface Tokens {
  sessionId: string
  accessToken: string
  refreshToken: string
  /** For browsers: each of a session stays valid as long as the session. */
  csrfToken: string
}
