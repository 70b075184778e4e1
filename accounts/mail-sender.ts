// Sends the mails of the outbox. Every API process runs this loop. A claim prevents two processes from sending the same mail. It
// expires, so that another process can send the mails of a process that crashed.
import { setTimeout as pause } from 'node:timers/promises'
import { backoffMs } from '../platform/backoff.ts'
import { Prisma, type Database } from '../platform/database.ts'
import { withDeadline } from '../platform/deadline.ts'
import type { Logger } from '../platform/logger.ts'
import { isPermanentMailError, type Mail, type Mailer } from '../platform/mailer.ts'
import type { Pauses } from '../platform/retry.ts'
import { issueResetToken, issueVerificationToken } from './mail-links.ts'
import { mails, type MailKind } from './mail-outbox.ts'
import { alreadyRegistered, passwordChanged, passwordReset, verification, welcome } from './mail-texts.ts'

export interface MailSender {
  /** Call after a mail was committed. The loop reads the outbox at once. */
  kick(): void
  /** Resolves after the deliveries in progress have ended. The other mails stay in the outbox. */
  stop(): Promise<void>
}

interface MailSenderDependencies {
  database: Database
  mailer: Mailer
  /** The base URL of links. */
  publicUrl: string
  /** The pauses between the attempts of one mail. */
  pauses: Pauses
  logger: Logger
}

/** Maximum of mails that a process sends at the same time. */
const SLOTS = 5
/** Polling finds mails of other processes, and mails whose next attempt is due. */
const POLL_MS = 2000
const DELIVERY_DEADLINE_MS = 60_000
/** Longer than a delivery can take. */
const CLAIM_SECONDS = 120
const CLOCK_TOLERANCE_SECONDS = 60

interface ClaimedMail {
  id: string
  kind: MailKind
  recipient: string
  attempts: number
}

/** Does nothing if no mail server is configured: the mails stay in the outbox until clean-up deletes them. */
export function startMailSender(deps: MailSenderDependencies): MailSender {
  if (!deps.mailer.available) return { kick: () => {}, stop: async () => {} }
  const stopping = new AbortController()
  let kicked = new AbortController()
  let failing = false
  const sending = new Set<Promise<void>>()
  const done = run()
  return {
    kick: () => kicked.abort(),
    async stop() {
      stopping.abort()
      kicked.abort()
      await done
    },
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      kicked = new AbortController()
      const { signal } = kicked
      await fillSlots().then(() => (failing = false), reportFailure)
      await pause(POLL_MS, undefined, { signal }).catch(() => {})
    }
    await Promise.all(sending)
  }

  /** Each delivery takes one slot, so that a slow one does not delay the others. */
  async function fillSlots(): Promise<void> {
    await expireMails(deps)
    if (sending.size === SLOTS) return
    for (const mail of await claimMails(deps, SLOTS - sending.size)) {
      const task = sendOne(deps, mail)
        .catch(reportFailure)
        .finally(() => {
          sending.delete(task)
          kicked.abort() // more may be due
        })
      sending.add(task)
    }
  }

  /** Logs an outage once, not at each poll. */
  function reportFailure(error: unknown): void {
    if (!failing) deps.logger.error({ error }, 'The mail outbox cannot be read or written: no mail is sent until PostgreSQL is available')
    failing = true
  }
}

/** A next attempt later than the longest pause is due as well: it was scheduled while the clock of the database was ahead. */
function isDue(pauses: Pauses): Prisma.Sql {
  const longestSeconds = Math.max(CLAIM_SECONDS, pauses.maxMs / 1000) + CLOCK_TOLERANCE_SECONDS
  return Prisma.sql`(next_attempt_at <= clock_timestamp()::timestamptz(3)
    OR next_attempt_at > clock_timestamp() + make_interval(secs => ${longestSeconds}::float))`
}

async function expireMails({ database, pauses, logger }: MailSenderDependencies): Promise<void> {
  const expired = await database.$queryRaw<{ kind: string; attempts: number }[]>`
    UPDATE account_mails SET ended_at = clock_timestamp(), outcome = 'expired'
    WHERE ended_at IS NULL AND ${isDue(pauses)} AND expires_at <= clock_timestamp()
    RETURNING kind, attempts`
  for (const { kind, attempts } of expired) logger.error({ kind, attempts }, 'Mail expired before it was sent')
  mails.inc({ result: 'expired' }, expired.length)
}

function claimMails({ database, pauses }: MailSenderDependencies, limit: number): Promise<ClaimedMail[]> {
  return database.$queryRaw<ClaimedMail[]>`
    UPDATE account_mails SET attempts = attempts + 1, next_attempt_at = clock_timestamp() + make_interval(secs => ${CLAIM_SECONDS}::int)
    WHERE id IN (
      SELECT id FROM account_mails WHERE ended_at IS NULL AND ${isDue(pauses)}
      ORDER BY next_attempt_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
    )
    RETURNING id, kind, recipient, attempts`
}

async function sendOne(deps: MailSenderDependencies, claimed: ClaimedMail): Promise<void> {
  const { mailer, pauses, logger } = deps
  const { id, kind, attempts } = claimed
  try {
    const mail = await compose(deps, claimed)
    // The same message id in each attempt, so that a mail server that accepted it twice can deliver it once.
    if (mail) await withDeadline(mailer.deliver(mail, id), DELIVERY_DEADLINE_MS)
    await endMail(deps.database, claimed, mail ? 'sent' : 'dropped')
  } catch (error) {
    if (isPermanentMailError(error)) {
      logger.error({ error, kind, attempts }, 'The mail server rejected the mail: it is not retried')
      return endMail(deps.database, claimed, 'refused')
    }
    const pauseMs = backoffMs(attempts, pauses)
    logger.warn({ error, kind, attempts, pauseMs }, 'Mail could not be sent: it is retried after the pause')
    await deps.database.$executeRaw`
      UPDATE account_mails SET next_attempt_at = clock_timestamp() + make_interval(secs => ${pauseMs / 1000}::float)
      WHERE id = ${id}::uuid AND attempts = ${attempts} AND ended_at IS NULL`
  }
}

/** Changes and counts the mail only if no other process has claimed it meanwhile: that process counts it. */
async function endMail(database: Database, { id, attempts }: ClaimedMail, outcome: 'sent' | 'refused' | 'dropped'): Promise<void> {
  const ended = await database.$executeRaw`
    UPDATE account_mails SET ended_at = clock_timestamp(), outcome = ${outcome}
    WHERE id = ${id}::uuid AND attempts = ${attempts} AND ended_at IS NULL`
  mails.inc({ result: outcome }, ended)
}

/** @returns undefined if no mail of this kind is due to this address, for example because it has no account */
async function compose({ database, publicUrl }: MailSenderDependencies, { kind, recipient }: ClaimedMail): Promise<Mail | undefined> {
  switch (kind) {
    case 'verification': {
      const token = await issueVerificationToken(database, recipient)
      return token === undefined ? undefined : verification(recipient, publicUrl, token)
    }
    case 'password_reset': {
      const token = await issueResetToken(database, recipient)
      return token === undefined ? undefined : passwordReset(recipient, publicUrl, token)
    }
    case 'welcome':
      return welcome(recipient)
    case 'already_registered':
      return alreadyRegistered(recipient)
    case 'password_changed':
      return passwordChanged(recipient)
  }
}
