// Mails about accounts are rows, written in the transaction that causes them, so that a crash loses none. `mail-sender.ts` sends
// them. A row holds no link: links are made when they are sent.
import { createHash } from 'node:crypto'
import type { Logger } from '../platform/logger.ts'
import { counter } from '../platform/metrics.ts'
import { Prisma, type Queryable } from '../platform/database.ts'

export type MailKind = 'verification' | 'welcome' | 'already_registered' | 'password_reset' | 'password_changed'

/** What a mail is about: whom it goes to, and the client address that asked for it where anybody can ask. */
export interface MailRequest {
  kind: MailKind
  to: string
  source?: string
}

interface MailLimit {
  windowMinutes: number
  /** Mails to exactly this address. Mails to other addresses of the same mailbox use up nothing of it. */
  perAddress: number
  /** Mails to all addresses of the mailbox together. The address that is the mailbox itself may get its own share on top. */
  perMailbox: number
  /** The part of each of the two that one client address can use up, so that a stranger does not take the mails of the owner. */
  perSource: number
}

/** These kinds are counted together; each limit holds. */
interface MailGroup {
  kinds: MailKind[]
  limits: MailLimit[]
}

/** Who asks, and for whom, as limits count them. */
interface Parties {
  address: string
  mailbox: string
  sourceHash: string | null
}

/** What {@link mailAllowed} needs of the accounts' context. */
export interface MailLimiter {
  logger: Logger
  /** Requests for mails that one client address may make in a day, to all recipients together, for each group of kinds. */
  mailsPerSource: number
}

/** Also how long a reset link is valid, which the column's default says. */
const RESET_MINUTES = 15
export const VERIFICATION_HOURS = 24
const DAY_MINUTES = 24 * 60
/** What is later was written while the clock of the database was wrong. Transactions that waited for others may be seconds apart. */
const LATEST = Prisma.sql`clock_timestamp() + interval '1 minute'`

/** The window is as long as a link is valid: whoever gets no further mail has a link that works. */
const REGISTRATION: MailGroup = {
  kinds: ['verification', 'welcome', 'already_registered'],
  limits: [{ windowMinutes: VERIFICATION_HOURS * 60, perAddress: 5, perMailbox: 5, perSource: 3 }],
}
/** The first window is as long as a link is valid; the second one bounds what a mailbox gets in a day. */
const RESET: MailGroup = {
  kinds: ['password_reset'],
  limits: [
    { windowMinutes: RESET_MINUTES, perAddress: 3, perMailbox: 6, perSource: 2 },
    { windowMinutes: DAY_MINUTES, perAddress: 10, perMailbox: 20, perSource: 3 },
  ],
}
/** Whoever changes a password has proved that the account is his, so no source is counted. */
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

export const mails = counter('mails_total', 'Mails by what became of them', ['result'])

/**
 * Whether the limits allow another mail of this kind, counted over all processes. Others who ask for the same mailbox, or from the
 * same source, wait until the transaction ends, so that the answer is still true when {@link addMail} follows. A transaction asks
 * this first, before it locks the account's row: all lock in the same order.
 */
export async function mailAllowed(tx: Queryable, { logger, mailsPerSource }: MailLimiter, request: MailRequest): Promise<boolean> {
  const { group } = RULES[request.kind]
  const parties = partiesOf(request)
  await lock(tx, parties.mailbox)
  if (parties.sourceHash) await lock(tx, `source ${parties.sourceHash}`)
  // All are counted, also after one has refused: the time must not depend on mails that were sent, so on whether there is an account.
  let allowed = (await countFromSource(tx, group, parties)) < mailsPerSource
  for (const limit of group.limits) if (!(await isWithin(tx, { group, limit }, parties))) allowed = false
  if (!allowed) {
    logger.warn({ kind: request.kind }, 'Mail limit reached: no mail is sent')
    mails.inc({ result: 'held_back' })
  }
  return allowed
}

/** Adds a mail that {@link mailAllowed} has allowed; it is sent once the transaction has committed. */
export async function addMail(tx: Queryable, request: MailRequest): Promise<void> {
  await insertMail(tx, request, { heldBack: false })
}

/** Writes down that a mail was asked for and not allowed. It is never sent; only the limit of its source counts it. */
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

/** Mails that never left count as well: otherwise a source could learn from its own limit which addresses have an account. */
async function countFromSource(tx: Queryable, { kinds }: MailGroup, { sourceHash }: Parties): Promise<number> {
  const [row] = await tx.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM account_mails
    WHERE source_hash = ${sourceHash} AND kind = ANY(${kinds})
      AND created_at > now() - make_interval(mins => ${DAY_MINUTES}::int) AND created_at <= ${LATEST}`
  return row!.count
}

/** Mails that ended otherwise than sent reached nobody, so they use up nothing. */
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

/** Many servers deliver `a+anything@` to `a@`. Gmail also ignores dots, and has two names for its domain. */
function mailboxOf(address: string): string {
  const [local, domain] = address.split('@') as [string, string]
  const name = local.replace(/(?<=.)\+.*/, '')
  return domain === 'gmail.com' || domain === 'googlemail.com' ? `${name.replaceAll('.', '')}@gmail.com` : `${name}@${domain}`
}
