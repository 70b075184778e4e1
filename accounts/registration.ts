import { SignJWT } from 'jose'
import { problem } from '../platform/problem.ts'
import type { AccountsContext } from './context.ts'
import { normaliseEmail } from './email-address.ts'
import { alreadyRegistered, welcome } from './mails.ts'
import { hashPassword, passwordWeakness } from './passwords.ts'
import { ALGORITHM, readSigned } from './signing-keys.ts'

const INVITATION_DAYS = 7
const INVITATION_TYPE = 'invitation+jwt'

export interface Registration {
  email: string
  password: string
  name: string
  invitation?: string | undefined
}

/**
 * Makes an account with the role `user`. Whether the address was known shows neither in the answer nor in its time: both hash
 * the password and write one row. The address's owner is told by mail.
 * @throws {Problem} `registration_closed`, `invitation_required`, `invalid_fields`
 */
export async function register(accounts: AccountsContext, { email, password, name, invitation }: Registration): Promise<void> {
  if (accounts.registration === 'closed') throw problem('registration_closed', 'Accounts are made by an administrator')
  if (accounts.registration === 'invite' && !(await isInvited(accounts, email, invitation)))
    throw problem('invitation_required', 'An invitation for this address is needed; it is good for seven days')
  refuseWeakPassword('password', password, email)
  const passwordHash = await hashPassword(password)
  const address = normaliseEmail(email)
  const [row] = await accounts.database.$queryRaw<{ created: boolean }[]>`
    INSERT INTO users AS u (email, name, password_hash) VALUES (${address}, ${name}, ${passwordHash})
    ON CONFLICT (email) DO UPDATE SET registered_again_at = now()
    RETURNING registered_again_at IS NULL AS created`
  accounts.post.send(row!.created ? welcome(address) : alreadyRegistered(address))
}

/** @throws {Problem} `invalid_fields` naming the field */
export function refuseWeakPassword(field: string, password: string, email: string): void {
  const weakness = passwordWeakness(password, email)
  if (weakness) throw problem('invalid_fields', 'The password is not accepted', {}, [{ field, message: weakness }])
}

/** What an invited person registers with: signed by us, for one address. */
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
