// The outbox of account mails. A mail is a row that is inserted in the transaction that causes it, so that a crash loses none.
// `mail-sender.ts` sends the mails. A row contains no link: a link is created when its mail is sent.
import { createHash } from 'node:crypto'
import type { Logger } from '../platform/logger.ts'
import { counter } from '../platform/metrics.ts'
import { Prisma, type Queryable } from '../platform/database.ts'

export type MailKind = 'verification' | 'welcome' | 'already_registered' | 'password_reset' | 'password_changed'

/** A requested mail. `source` is the client address of the request, for kinds that anybody can request. */
export interface MailRequest {
  kind: MailKind
  to: string
  source?: string
}

interface MailLimit {
  windowMinutes: number
  /** Maximum of mails to exactly one address. Mails to other addresses of the same mailbox do not count. */
  perAddress: number
  /** Maximum of mails to all addresses of a mailbox together. Does not apply to the address that equals the mailbox. */
  perMailbox: number
  /** Maximum of these mails that one client address can cause, so that a stranger cannot use up the owner's mails. */
  perSource: number
}

/** Kinds that are counted together. Every limit applies. */
interface MailGroup {
  kinds: MailKind[]
  limits: MailLimit[]
}

/** The recipient and the source of a mail, as limits count them. */
interface Parties {
  address: string
  mailbox: string
  sourceHash: string | null
}

/** The part of `AccountsContext` that {@link mailAllowed} needs. */
export interface MailLimiter {
  logger: Logger
  /** Number of mails that one client address may request per day and group of kinds, to all recipients together. */
  mailsPerSource: number
}

/** Equals the validity of a reset link, which the default of `password_reset_tokens.expires_at` sets. */
const RESET_MINUTES = 15
export const VERIFICATION_HOURS = 24
const DAY_MINUTES = 24 * 60
/** A later time was written while the clock of the database was wrong. Times of transactions that waited for others may differ by seconds. */
const LATEST = Prisma.sql`clock_timestamp() + interval '1 minute'`

/** The window equals the validity of a link: if the limit is reached, an earlier mail contains a valid link. */
const REGISTRATION: MailGroup = {
  kinds: ['verification', 'welcome', 'already_registered'],
  limits: [{ windowMinutes: VERIFICATION_HOURS * 60, perAddress: 5, perMailbox: 5, perSource: 3 }],
}
/** The first window equals the validity of a link. The second one limits the mails per mailbox and day. */
const RESET: MailGroup = {
  kinds: ['password_reset'],
  limits: [
    { windowMinutes: RESET_MINUTES, perAddress: 3, perMailbox: 6, perSource: 2 },
    { windowMinutes: DAY_MINUTES, perAddress: 10, perMailbox: 20, perSource: 3 },
  ],
}
/** A password change requires authentication, so these mails have no source. */
const NOTICE: MailGroup = {
  kinds: ['password_changed'],
  limits: [{ windowMinutes: 60, perAddress: 5, perMailbox: 10, perSource: 5 }],
}

const RULES: Record<MailKind, { group: MailGroup; sendWithinMinutes: number }> = {
  verification: { group: REGISTRATION, sendWithinMinutes: DAY_MINUTES },
  welcome: { group: REGISTRATION, sendWithinMinutes: DAY_MINUTES },
  already_registered: { group: REGISTRATION, sendWithinMinutes: DAY_MINUTES },
  password_reset: { group: RESET, sendWithinMinutes: RESET_MINUTES },
  password_changed: { group: NOTICE, sendWithinMinutes: DAY_MINUTES },
}

export const mails = counter('mails_total', 'Account mails by outcome', ['result'])

/**
 * Whether the limits allow another mail of this kind, counted over all processes. Locks the mailbox and the source until the
 * transaction ends, so that the result still holds when {@link addMail} follows. Call it before the transaction locks the account's
 * row, so that all transactions lock in the same order.
 */
export async function mailAllowed(tx: Queryable, { logger, mailsPerSource }: MailLimiter, request: MailRequest): Promise<boolean> {
  const { group } = RULES[request.kind]
  const parties = partiesOf(request)
  await lock(tx, parties.mailbox)
  if (parties.sourceHash) await lock(tx, `source ${parties.sourceHash}`)
  // Evaluates every limit, even after one was exceeded: the time must not show whether mails were sent, and so whether there is an account.
  let allowed = (await countFromSource(tx, group, parties)) < mailsPerSource
  for (const limit of group.limits) if (!(await isWithin(tx, { group, limit }, parties))) allowed = false
  if (!allowed) {
    logger.warn({ kind: request.kind }, 'Mail limit reached: the mail is not sent')
    mails.inc({ result: 'held_back' })
  }
  return allowed
}

/** Adds a mail that {@link mailAllowed} has allowed. It is sent after the transaction has committed. */
export async function addMail(tx: Queryable, request: MailRequest): Promise<void> {
  await insertMail(tx, request, { heldBack: false })
}

/** Records that a mail was requested and not allowed. It is never sent. Only the limit of its source counts it. */
export async function addHeldBackMail(tx: Queryable, request: MailRequest): Promise<void> {
  await insertMail(tx, request, { heldBack: true })
}

async function insertMail(tx: Queryable, request: MailRequest, { heldBack }: { heldBack: boolean }): Promise<void> {
  const { address, mailbox, sourceHash } = partiesOf(request)
  await tx.$executeRaw`
    INSERT INTO account_mails (kind, recipient, mailbox, source_hash, expires_at, ended_at, outcome)
    VALUES (${request.kind}, ${address}, ${mailbox}, ${sourceHash},
            now() + make_interval(mins => ${RULES[request.kind].sendWithinMinutes}::int),
            CASE WHEN ${heldBack} THEN now() END, CASE WHEN ${heldBack} THEN 'held_back' END)`
}

async function lock(tx: Queryable, name: string): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${name}, 0))`
}

/** Counts mails that were not sent as well: otherwise a source could learn from its own limit which addresses have an account. */
async function countFromSource(tx: Queryable, { kinds }: MailGroup, { sourceHash }: Parties): Promise<number> {
  const [row] = await tx.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM account_mails
    WHERE source_hash = ${sourceHash} AND kind = ANY(${kinds})
      AND created_at > now() - make_interval(mins => ${DAY_MINUTES}::int) AND created_at <= ${LATEST}`
  return row!.count
}

/** Counts only mails that were sent or are still to be sent. */
async function isWithin(
  tx: Queryable,
  { group, limit }: { group: MailGroup; limit: MailLimit },
  { address, mailbox, sourceHash }: Parties,
): Promise<boolean> {
  const [row] = await tx.$queryRaw<{ toAddress: number; toAddressFromSource: number; toMailbox: number; toMailboxFromSource: number }[]>`
    SELECT (count(*) FILTER (WHERE recipient = ${address}))::int AS "toAddress",
           (count(*) FILTER (WHERE recipient = ${address} AND source_hash = ${sourceHash}))::int AS "toAddressFromSource",
           count(*)::int AS "toMailbox",
           (count(*) FILTER (WHERE source_hash = ${sourceHash}))::int AS "toMailboxFromSource"
    FROM account_mails
    WHERE mailbox = ${mailbox} AND kind = ANY(${group.kinds})
      AND created_at > now() - make_interval(mins => ${limit.windowMinutes}::int) AND created_at <= ${LATEST}
      AND COALESCE(outcome, 'sent') = 'sent'`
  const { toAddress, toAddressFromSource, toMailbox, toMailboxFromSource } = row!
  const addressMay = toAddress < limit.perAddress && toAddressFromSource < limit.perSource
  const mailboxMay = toMailbox < limit.perMailbox && toMailboxFromSource < limit.perSource
  return addressMay && (mailboxMay || address === mailbox)
}

function partiesOf({ to, source }: MailRequest): Parties {
  const sourceHash = source === undefined ? null : createHash('sha256').update(source).digest('hex')
  return { address: to, mailbox: mailboxOf(to), sourceHash }
}

/** Many servers deliver `a+anything@` to `a@`. Gmail also ignores dots and has two domain names. */
function mailboxOf(address: string): string {
  const [local, domain] = address.split('@') as [string, string]
  const name = local.replace(/(?<=.)\+.*/, '')
  return domain === 'gmail.com' || domain === 'googlemail.com' ? `${name.replaceAll('.', '')}@gmail.com` : `${name}@${domain}`
}
