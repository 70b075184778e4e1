// Puts together what accounts are kept with.
import type { AccountsContext } from '../accounts/context.ts'
import { startMailSender } from '../accounts/mail-sender.ts'
import { createSigningKeys } from '../accounts/signing-keys.ts'
import type { Config } from '../platform/config.ts'
import type { Database } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'
import { pausesOf } from '../platform/retry-settings.ts'
import { folderPost, noPost, smtpPost, type Post } from '../platform/post.ts'

export function createAccounts(config: Config, { database, logger }: { database: Database; logger: Logger }): AccountsContext {
  const post = createPost(config, logger)
  return {
    database,
    keys: createSigningKeys(database),
    post,
    mails: startMailSender({ database, post, publicUrl: config.PUBLIC_URL, pauses: pausesOf(config, 'MAIL'), logger }),
    logger,
    mailsPerSource: config.RATE_LIMIT_MAILS,
    registration: config.REGISTRATION,
    sessionDays: config.SESSION_DAYS,
    sessionIdleDays: config.SESSION_IDLE_DAYS,
    publicUrl: config.PUBLIC_URL,
  }
}

function createPost(config: Config, logger: Logger): Post {
  const options = { from: config.MAIL_FROM, logger }
  if (config.SMTP_URL) return smtpPost(config.SMTP_URL, options)
  return config.NODE_ENV === 'production' ? noPost() : folderPost(config.MAIL_DIRECTORY, options)
}
