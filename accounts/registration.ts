import { SignJWT } from 'jose'
import type { Queryable } from '../platform/database.ts'
import { AccountError } from './errors.ts'
import type { AccountsContext } from './context.ts'
import { normaliseEmail } from './email-address.ts'
import { addMail, mailAllowed, type MailKind } from './mail-outbox.ts'
import { hashPassword, passwordWeakness } from './passwords.ts'
import { ALGORITHM, INVITATION_DAYS, readSigned } from './signing-keys.ts'

const INVITATION_TYPE = 'invitation+jwt'

export interface Registration {
  email: string
  password: string
  name: string
  invitation?: string | undefined
  /** The client address of the request. */
  source: string
}

/**
 * Creates an account with the role `user`, which works after its address is verified. An invitation verifies it at once. If the address
 * has an unverified account, its password, name and link are replaced. A verified account is not changed. Neither the response nor its
 * time shows which case applied: each hashes the password, writes the account's row and adds a mail. If the mail limit of the address
 * is reached, nothing changes, so that the link mailed before stays valid.
 * @throws {AccountError} `registration_closed`, `invitation_required`, `password_not_accepted`
 */
export async function register(accounts: AccountsContext, { email, password, name, invitation, source }: Registration): Promise<void> {
  if (accounts.registration === 'closed') throw new AccountError('registration_closed', 'Only an administrator can create accounts')
  const invited = await isInvited(accounts, email, invitation)
  if (accounts.registration === 'invite' && !invited)
    throw new AccountError('invitation_required', 'A valid invitation for this address is required; invitations expire after seven days')
  refuseWeakPassword('password', password, email)
  const passwordHash = await hashPassword(password)
  const to = normaliseEmail(email)
  await accounts.database.$transaction(async (tx) => {
    const allowed = await mailAllowed(tx, accounts, { kind: 'verification', to, source })
    if (!allowed && !invited) return
    const kind = await writeAccount(tx, { email: to, name, passwordHash, invited })
    if (allowed) await addMail(tx, { kind, to, source })
  })
  accounts.mails.kick()
}

/** Inserts or updates the account. @returns the kind of mail to send */
async function writeAccount(
  tx: Queryable,
  { email, name, passwordHash, invited }: { email: string; name: string; passwordHash: string; invited: boolean },
): Promise<MailKind> {
  const [known] = await tx.$queryRaw<{ verified: boolean }[]>`
    SELECT verified_at IS NOT NULL AS verified FROM users WHERE email = ${email} FOR NO KEY UPDATE`
  await tx.$executeRaw`
    INSERT INTO users AS u (email, name, password_hash, verified_at)
    VALUES (${email}, ${name}, ${passwordHash}, CASE WHEN ${invited} THEN now() END)
    ON CONFLICT (email) DO UPDATE SET
      registered_again_at = now(),
      name = CASE WHEN u.verified_at IS NULL THEN excluded.name ELSE u.name END,
      password_hash = CASE WHEN u.verified_at IS NULL THEN excluded.password_hash ELSE u.password_hash END,
      verified_at = COALESCE(u.verified_at, excluded.verified_at),
      verification_hash = NULL,
      verification_expires_at = NULL`
  if (known?.verified) return 'already_registered'
  return invited ? 'welcome' : 'verification'
}

/** @throws {AccountError} `password_not_accepted` with the name of the field */
export function refuseWeakPassword(field: string, password: string, email: string): void {
  const weakness = passwordWeakness(password, email)
  if (weakness) throw new AccountError('password_not_accepted', weakness, { field })
}

/** Creates a signed invitation to register one address. */
export async function createInvitation({ keys }: Pick<AccountsContext, 'keys'>, email: string): Promise<string> {
  const [{ kid, invitationKey }] = await keys.all()
  return new SignJWT()
    .setProtectedHeader({ alg: ALGORITHM, typ: INVITATION_TYPE, kid })
    .setSubject(normaliseEmail(email))
    .setExpirationTime(`${INVITATION_DAYS}d`)
    .sign(invitationKey)
}

async function isInvited({ keys }: AccountsContext, email: string, invitation: string | undefined): Promise<boolean> {
  if (!invitation) return false
  const options = { typ: INVITATION_TYPE, subject: normaliseEmail(email), requiredClaims: ['exp'] }
  return (await readSigned(keys, 'invitationKey', invitation, options)) !== undefined
}
