// Mails about accounts are rows, written in the transaction that causes them, so that a crash loses none. `mail-sender.ts` sends
// them. A row holds no link: links are made when they are sent.
import { createHash } from 'node:crypto'
import type { Logger } from '../platform/logger.ts'
import { counter } from '../platform/metrics.ts'
import type { Queryable } from '../platform/database.ts'

export type MailKind = 'verification' | 'welcome' | 'already_registered' | 'password_reset' | 'password_changed'

/** What a mail is about: whom it goes to, and the client address that asked for it where anybody can ask. */
export interface MailRequest {
  kind: MailKind
  to: string
  source?: string
}

interface MailLimit {
  /** These are counted together. */
  kinds: MailKind[]
  windowMinutes: number
  perMailbox: number
  perSource: number
}

/** Also how long a reset link is valid, which the column's default says. */
const RESET_MINUTES = 15
export const VERIFICATION_HOURS = 24
const DAY_MINUTES = 24 * 60

/**
 * Where a mail brings a link, the window is as long as the link is valid: whoever gets no further mail has a link that works. One
 * source can use up a part of a mailbox's limit only, so that a stranger does not take the mails of the owner.
 */
const REGISTRATION: MailLimit = {
  kinds: ['verification', 'welcome', 'already_registered'],
  windowMinutes: VERIFICATION_HOURS * 60,
  perMailbox: 5,
  perSource: 3,
}
const RESET: MailLimit = { kinds: ['password_reset'], windowMinutes: RESET_MINUTES, perMailbox: 3, perSource: 2 }
const NOTICE: MailLimit = { kinds: ['password_changed'], windowMinutes: 60, perMailbox: 5, perSource: 5 }

const RULES: Record<MailKind, { limit: MailLimit; sendWithinMinutes: number }> = {
  verification: { limit: REGISTRATION, sendWithinMinutes: DAY_MINUTES },
  welcome: { limit: REGISTRATION, sendWithinMinutes: DAY_MINUTES },
  already_registered: { limit: REGISTRATION, sendWithinMinutes: DAY_MINUTES },
  password_reset: { limit: RESET, sendWithinMinutes: RESET_MINUTES },
  password_changed: { limit: NOTICE, sendWithinMinutes: DAY_MINUTES },
}

export const mails = counter('mails_total', 'Mails by what became of them', ['result'])

/**
 * Whether the limits allow another mail of this kind, counted over all processes. Others who ask for the same mailbox wait until
 * the transaction ends, so that the answer is still true when {@link addMail} follows. A transaction asks this first, before it
 * locks the account's row: all lock in the same order.
 */
export async function mailAllowed(tx: Queryable, logger: Logger, request: MailRequest): Promise<boolean> {
  const { limit } = RULES[request.kind]
  const { mailbox, sourceHash } = addressees(request)
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${mailbox}, 0))`
  const [count] = await tx.$queryRaw<{ toMailbox: number; fromSource: number }[]>`
    SELECT count(*)::int AS "toMailbox", (count(*) FILTER (WHERE source_hash = ${sourceHash}))::int AS "fromSource"
    FROM account_mails
    WHERE mailbox = ${mailbox} AND kind = ANY(${limit.kinds}) AND created_at > now() - make_interval(mins => ${limit.windowMinutes}::int)`
  const allowed = count!.toMailbox < limit.perMailbox && count!.fromSource < limit.perSource
  if (!allowed) {
    logger.warn({ kind: request.kind }, 'Mail limit reached: no mail is sent')
    mails.inc({ result: 'held_back' })
  }
  return allowed
}

/** Adds a mail that {@link mailAllowed} has allowed; it is sent once the transaction has committed. */
export async function addMail(tx: Queryable, request: MailRequest): Promise<void> {
  const { mailbox, sourceHash } = addressees(request)
  await tx.$executeRaw`
    INSERT INTO account_mails (kind, recipient, mailbox, source_hash, expires_at)
    VALUES (${request.kind}, ${request.to}, ${mailbox}, ${sourceHash},
            now() + make_interval(mins => ${RULES[request.kind].sendWithinMinutes}::int))`
}

/** `a+anything@example.com` is delivered to `a@example.com` by many servers, so one limit counts both. */
function addressees({ to, source }: MailRequest): { mailbox: string; sourceHash: string | null } {
  const mailbox = to.replace(/\+[^@]*@/, '@')
  const sourceHash = source === undefined ? null : createHash('sha256').update(`${mailbox} ${source}`).digest('hex')
  return { mailbox, sourceHash }
}
