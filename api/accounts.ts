// Puts together what accounts are kept with.
import type { AccountsContext } from '../accounts/context.ts'
import { createSigningKeys } from '../accounts/signing-keys.ts'
import type { Config } from '../platform/config.ts'
import type { Database } from '../platform/database.ts'
import type { Logger } from '../platform/logger.ts'
import { retryPolicy } from '../platform/retry-settings.ts'
import { folderPost, noPost, smtpPost, type Post } from '../platform/post.ts'
import type { Limits } from './limits.ts'

export function createAccounts(
  config: Config,
  { database, limits, logger }: { database: Database; limits: Limits; logger: Logger },
): AccountsContext {
  return {
    database,
    keys: createSigningKeys(database),
    post: createPost(config, limits, logger),
    logger,
    registration: config.REGISTRATION,
    sessionDays: config.SESSION_DAYS,
    sessionIdleDays: config.SESSION_IDLE_DAYS,
    publicUrl: config.PUBLIC_URL,
  }
}

function createPost(config: Config, limits: Limits, logger: Logger): Post {
  const options = { from: config.MAIL_FROM, retry: retryPolicy(config, 'MAIL'), logger, mayReceive: limits.mayReceive }
  if (config.SMTP_URL) return smtpPost(config.SMTP_URL, options)
  return config.NODE_ENV === 'production' ? noPost(logger) : folderPost(config.MAIL_DIRECTORY, options)
}
