// Creates the context of account operations from the configuration.
import type { AccountsContext } from '../accounts/context.ts'
import { startMailSender } from '../accounts/mail-sender.ts'
import { createSigningKeys } from '../accounts/signing-keys.ts'
import type { Config } from '../platform/config.ts'
import type { Database } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'
import { pausesOf } from '../platform/retry-settings.ts'
import { folderMailer, disabledMailer, smtpMailer, type Mailer } from '../platform/mailer.ts'

export function createAccounts(config: Config, { database, logger }: { database: Database; logger: Logger }): AccountsContext {
  const mailer = createMailer(config, logger)
  return {
    database,
    keys: createSigningKeys(database),
    mailer,
    mails: startMailSender({ database, mailer, publicUrl: config.PUBLIC_URL, pauses: pausesOf(config, 'MAIL'), logger }),
    logger,
    mailsPerSource: config.RATE_LIMIT_MAILS,
    registration: config.REGISTRATION,
    sessionDays: config.SESSION_DAYS,
    sessionIdleDays: config.SESSION_IDLE_DAYS,
    publicUrl: config.PUBLIC_URL,
  }
}

function createMailer(config: Config, logger: Logger): Mailer {
  const options = { from: config.MAIL_FROM, logger }
  if (config.SMTP_URL) return smtpMailer(config.SMTP_URL, options)
  return config.NODE_ENV === 'production' ? disabledMailer() : folderMailer(config.MAIL_DIRECTORY, options)
}
